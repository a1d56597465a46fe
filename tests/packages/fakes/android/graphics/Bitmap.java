package android.graphics;

public final class Bitmap {
    public enum Config {
        ARGB_8888,
        HARDWARE
    }

    private final int[] pixels;
    private final int width;
    private final int height;
    private final Config config;
    private boolean recycled;

    public Bitmap(int[] pixels, int width, int height, Config config) {
        this.pixels = pixels;
        this.width = width;
        this.height = height;
        this.config = config;
    }

    public Config getConfig() {
        return config;
    }

    public Bitmap copy(Config wanted, boolean isMutable) {
        return new Bitmap(pixels.clone(), width, height, wanted);
    }

    public int getWidth() {
        return width;
    }

    public int getHeight() {
        return height;
    }

    public void getPixels(int[] into, int offset, int stride, int x, int y, int columns, int rows) {
        if (config == Config.HARDWARE || recycled) {
            throw new IllegalStateException("no pixels in memory");
        }
        for (int row = 0; row < rows; row++) {
            System.arraycopy(pixels, (y + row) * width + x, into, offset + row * stride, columns);
        }
    }

    public void recycle() {
        recycled = true;
    }
}
