package org.tensorflow.lite;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.file.Files;

/** Knows the answers to the golden inputs alone, and takes and writes buffers as LiteRT does. */
public final class Interpreter implements AutoCloseable {
    public static class Options {
        public Options setNumThreads(int threads) {
            return this;
        }

        public Options addDelegate(Delegate delegate) {
            return this;
        }
    }

    public Interpreter(ByteBuffer model, Options options) {
        boolean direct = model.isDirect() && model.order() == ByteOrder.nativeOrder();
        if (!(model instanceof MappedByteBuffer) && !direct) {
            throw new IllegalArgumentException("the model is neither mapped nor direct");
        }
        if (model.remaining() != new File(System.getProperty("model")).length()) {
            throw new IllegalArgumentException("not the whole model");
        }
    }

    public void run(Object given, Object result) {
        ByteBuffer input = ((ByteBuffer) given).duplicate();
        File golden = new File(System.getProperty("golden"));
        try {
            for (int number = 0; new File(golden, number + ".input").exists(); number++) {
                ByteBuffer known = ByteBuffer.wrap(read(golden, number + ".input"));
                if (known.equals(input)) {
                    // The position of the result moves to its end.
                    ((ByteBuffer) result).put(read(golden, number + ".output"));
                    return;
                }
            }
        } catch (IOException error) {
            throw new IllegalStateException(error);
        }
        throw new IllegalStateException("this is no golden input");
    }

    @Override
    public void close() {
        System.out.println("interpreter closed");
    }

    private static byte[] read(File folder, String name) throws IOException {
        return Files.readAllBytes(new File(folder, name).toPath());
    }
}
