package org.tensorflow.lite;

import java.util.Map;

public interface InterpreterApi extends AutoCloseable {
    class Options {}

    void run(Object input, Object output);

    void runForMultipleInputsOutputs(Object[] inputs, Map<Integer, Object> outputs);

    @Override
    void close();
}
