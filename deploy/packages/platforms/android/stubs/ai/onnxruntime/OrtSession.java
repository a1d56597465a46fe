package ai.onnxruntime;

import java.util.Map;

public class OrtSession implements AutoCloseable {
    public static class SessionOptions implements AutoCloseable {
        public void setIntraOpNumThreads(int threads) throws OrtException {
            throw new UnsupportedOperationException();
        }

        public void addNnapi() throws OrtException {
            throw new UnsupportedOperationException();
        }

        public void addXnnpack(Map<String, String> options) throws OrtException {
            throw new UnsupportedOperationException();
        }

        @Override
        public void close() {
            throw new UnsupportedOperationException();
        }
    }

    public static class Result implements AutoCloseable {
        public OnnxValue get(int index) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void close() {
            throw new UnsupportedOperationException();
        }
    }

    public Result run(Map<String, ? extends OnnxTensorLike> inputs) throws OrtException {
        throw new UnsupportedOperationException();
    }

    @Override
    public void close() throws OrtException {
        throw new UnsupportedOperationException();
    }
}
