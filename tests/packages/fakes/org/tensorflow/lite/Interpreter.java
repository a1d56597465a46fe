package org.tensorflow.lite;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.MappedByteBuffer;
import java.nio.file.Files;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;

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
        answer((ByteBuffer) given, Collections.singletonMap("output", result));
    }

    public void runForMultipleInputsOutputs(Object[] given, Map<Integer, Object> results) {
        Map<String, Object> named = new HashMap<>();
        results.forEach((place, result) -> named.put("output" + place, result));
        answer((ByteBuffer) given[0], named);
    }

    private static void answer(ByteBuffer given, Map<String, Object> results) {
        ByteBuffer input = given.duplicate();
        File golden = new File(System.getProperty("golden"));
        try {
            for (int number = 0; new File(golden, number + ".input").exists(); number++) {
                ByteBuffer known = ByteBuffer.wrap(read(golden, number + ".input"));
                if (known.equals(input)) {
                    // The position of the result moves to its end.
                    for (Map.Entry<String, Object> result : results.entrySet()) {
                        ((ByteBuffer) result.getValue()).put(read(golden, number + "." + result.getKey()));
                    }
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
