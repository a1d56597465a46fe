// Signatures of TensorFlowLiteSwift that the generated code uses.
import Foundation

public final class Interpreter {
    public struct Options: Equatable, Hashable {
        public var threadCount: Int?
        public init() {}
    }

    public init(modelPath: String, options: Options? = nil) throws {}
    public func allocateTensors() throws {}
    @discardableResult
    public func copy(_ data: Data, toInputAt index: Int) throws -> Tensor { Tensor() }
    public func invoke() throws {}
    public func output(at index: Int) throws -> Tensor { Tensor() }
}

public struct Tensor {
    public var data = Data()
}
