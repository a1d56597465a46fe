import android.content.Context;
import android.graphics.Bitmap;
import com.example.ants.Ants;
import com.example.ants.Category;
import java.io.File;
import java.io.PrintStream;
import java.nio.file.Files;

/** An app: ASSETS ONE.rgb WIDTH HEIGHT CONFIG COMPRESSED. */
public final class Classify {
    public static void main(String[] words) throws Exception {
        System.setOut(new PrintStream(System.out, true, "UTF-8"));
        byte[] bytes = Files.readAllBytes(new File(words[1]).toPath());
        int[] pixels = new int[bytes.length / 3];
        for (int index = 0; index < pixels.length; index++) {
            int place = 3 * index;
            pixels[index] = (bytes[place] & 255) << 16 | (bytes[place + 1] & 255) << 8 | bytes[place + 2] & 255;
        }
        Bitmap.Config config = Bitmap.Config.valueOf(words[4]);
        Bitmap bitmap = new Bitmap(pixels, Integer.parseInt(words[2]), Integer.parseInt(words[3]), config);
        Context context = new Context(new File(words[0]), Boolean.parseBoolean(words[5]));
        try (Ants ants = Ants.load(context)) {
            for (int round = 0; round < 2; round++) {
                for (Category category : ants.classify(bitmap)) {
                    System.out.println(category.getIndex() + "\t" + category.getLabel() + "\t" + category.getScore());
                }
            }
        }
        System.out.println(attempt(context, bitmap));
        System.out.println(gpu(context));
    }

    private static String attempt(Context context, Bitmap bitmap) {
        Ants ants = Ants.load(context);
        ants.close();
        ants.close();
        try {
            ants.classify(bitmap);
            return "classified";
        } catch (IllegalStateException error) {
            return error.getMessage();
        }
    }

    private static String gpu(Context context) {
        try {
            Ants.load(context, new Ants.Options(1, Ants.Accelerator.GPU));
            return "loaded";
        } catch (IllegalStateException error) {
            return error.getMessage();
        }
    }
}
