// Signatures of ONNX Runtime's Swift package that the generated code uses.
import Foundation

public enum ORTLoggingLevel { case warning }
public enum ORTTensorElementDataType { case float, int8, uInt8 }

public class ORTEnv {
    public init(loggingLevel: ORTLoggingLevel) throws {}
}

public class ORTSessionOptions {
    public init() throws {}
    public func setIntraOpNumThreads(_ count: Int32) throws {}
}

public class ORTRunOptions {}

public class ORTValue {
    public init(tensorData: NSMutableData, elementType: ORTTensorElementDataType, shape: [NSNumber]) throws {}
    public func tensorData() throws -> NSMutableData { NSMutableData() }
}

public class ORTSession {
    public init(env: ORTEnv, modelPath: String, sessionOptions: ORTSessionOptions?) throws {}
    public func run(
        withInputs inputs: [String: ORTValue], outputNames: Set<String>, runOptions: ORTRunOptions?
    ) throws -> [String: ORTValue] { [:] }
}
