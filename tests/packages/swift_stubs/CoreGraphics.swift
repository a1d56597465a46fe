// Signatures of Core Graphics that the generated code uses, for a compiler that has no Apple frameworks.
import Foundation

public typealias CFData = NSData
public typealias CGFloat = Foundation.CGFloat
public typealias CGRect = Foundation.CGRect

public final class CFString {}

public enum CGColorSpaceModel { case rgb, monochrome }

public final class CGColorSpace {
    public static var sRGB: CFString { CFString() }
    public var model: CGColorSpaceModel { .rgb }
    public init?(name: CFString) {}
}

public enum CGImageAlphaInfo: UInt32 {
    case none = 0
    case noneSkipLast = 5
}

public struct CGBitmapInfo: OptionSet {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
}

public enum CGColorRenderingIntent { case defaultIntent }
public enum CGInterpolationQuality { case none }
public enum CGBlendMode { case normal }

public final class CGDataProvider {
    public init?(data: CFData) {}
}

public final class CGImage {
    public var width: Int { 0 }
    public var height: Int { 0 }
    public var colorSpace: CGColorSpace? { nil }
    public init?(
        width: Int, height: Int, bitsPerComponent: Int, bitsPerPixel: Int, bytesPerRow: Int, space: CGColorSpace,
        bitmapInfo: CGBitmapInfo, provider: CGDataProvider, decode: UnsafePointer<CGFloat>?, shouldInterpolate: Bool,
        intent: CGColorRenderingIntent
    ) {}
}

public final class CGContext {
    public var interpolationQuality = CGInterpolationQuality.none
    public init?(
        data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int, bytesPerRow: Int,
        space: CGColorSpace, bitmapInfo: UInt32
    ) {}
    public func setBlendMode(_ mode: CGBlendMode) {}
    public func draw(_ image: CGImage, in rect: CGRect) {}
}
