import android.content.Context;
import android.graphics.Bitmap;
import com.example.detector.Box;
import com.example.detector.Detection;
import com.example.detector.Detector;
import java.io.File;
import java.io.PrintStream;
import java.nio.file.Files;

/** An app: ASSETS ONE.rgb WIDTH HEIGHT. */
public final class Detect {
    public static void main(String[] words) throws Exception {
        System.setOut(new PrintStream(System.out, true, "UTF-8"));
        byte[] bytes = Files.readAllBytes(new File(words[1]).toPath());
        int[] pixels = new int[bytes.length / 3];
        for (int index = 0; index < pixels.length; index++) {
            int place = 3 * index;
            pixels[index] = (bytes[place] & 255) << 16 | (bytes[place + 1] & 255) << 8 | bytes[place + 2] & 255;
        }
        Bitmap bitmap =
                new Bitmap(pixels, Integer.parseInt(words[2]), Integer.parseInt(words[3]), Bitmap.Config.ARGB_8888);
        try (Detector detector = Detector.load(new Context(new File(words[0]), false))) {
            for (Detection found : detector.detect(bitmap)) {
                Box box = found.getBox();
                System.out.println(found.getIndex() + "\t" + found.getLabel() + "\t" + found.getScore() + "\t"
                        + box.getLeft() + "\t" + box.getTop() + "\t" + box.getRight() + "\t" + box.getBottom());
            }
            System.out.println(refused(() -> detector.detect(bitmap, 1.5f)));
            System.out.println(refused(() -> detector.detect(bitmap, 0.5f, Float.NaN)));
            System.out.println(refused(() -> detector.detect(bitmap, 0.5f, 0.5f, 0)));
        }
    }

    private static String refused(Runnable call) {
        try {
            call.run();
            return "detected";
        } catch (IllegalArgumentException error) {
            return error.getMessage();
        }
    }
}
