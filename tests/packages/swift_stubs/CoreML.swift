// Signatures of Core ML that the generated code uses.
import CoreVideo
import Foundation

public enum MLComputeUnits: Int, Sendable { case cpuOnly, all }
public enum MLMultiArrayDataType { case float32, double, int32 }

public class MLModelConfiguration {
    public var computeUnits = MLComputeUnits.all
    public init() {}
}

public class MLMultiArray {
    public var shape: [NSNumber] { [] }
    public var strides: [NSNumber] { [] }
    public var dataType: MLMultiArrayDataType { .float32 }
    public var count: Int { 0 }
    public var dataPointer: UnsafeMutableRawPointer { fatalError() }
    public init(shape: [NSNumber], dataType: MLMultiArrayDataType) throws {}
    public subscript(_ key: [NSNumber]) -> NSNumber {
        get { 0 }
        set {}
    }
}

public class MLFeatureValue {
    public var multiArrayValue: MLMultiArray? { nil }
    public init(multiArray: MLMultiArray) {}
    public init(pixelBuffer: CVPixelBuffer) {}
}

public protocol MLFeatureProvider {
    func featureValue(for name: String) -> MLFeatureValue?
}

public class MLDictionaryFeatureProvider: MLFeatureProvider {
    public init(dictionary: [String: Any]) throws {}
    public func featureValue(for name: String) -> MLFeatureValue? { nil }
}

public class MLModel {
    public class func load(
        contentsOf url: URL, configuration: MLModelConfiguration = MLModelConfiguration()
    ) async throws -> MLModel { fatalError() }
    public class func compileModel(at url: URL) throws -> URL { url }
    public class func compileModel(at url: URL) async throws -> URL { url }
    public func prediction(from input: MLFeatureProvider) throws -> MLFeatureProvider { fatalError() }
}
