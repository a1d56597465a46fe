package ai.onnxruntime;

import java.nio.ByteBuffer;

public class OnnxTensor extends OnnxTensorLike {
    public static OnnxTensor createTensor(
            OrtEnvironment environment, ByteBuffer data, long[] shape, OnnxJavaType type) throws OrtException {
        throw new UnsupportedOperationException();
    }

    public ByteBuffer getByteBuffer() {
        throw new UnsupportedOperationException();
    }

    @Override
    public void close() {
        throw new UnsupportedOperationException();
    }
}
