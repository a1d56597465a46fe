package android.content;

import android.content.res.AssetManager;
import java.io.File;

/** An app whose assets lie in a folder. */
public class Context {
    private final AssetManager assets;

    public Context(File folder, boolean compressed) {
        assets = new AssetManager(folder, compressed);
    }

    public AssetManager getAssets() {
        return assets;
    }
}
