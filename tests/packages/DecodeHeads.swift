// main FOLDER COUNT: decodes FOLDER/N.boxes and N.logits by the generated code and writes FOLDER/N.found; N.case has the
// image's width and height, least score, most overlap, most objects, then the rule's height, width and short side.
import Foundation

let folder = CommandLine.arguments[1]

func floats(_ name: String) throws -> [Float] {
    try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)")).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
}

for number in 0..<Int(CommandLine.arguments[2])! {
    let words = try String(contentsOfFile: "\(folder)/\(number).case", encoding: .utf8).split(separator: " ")
    let whole = words.map { Int($0) ?? 0 }
    let geometry = Geometry(
        height: whole[5], width: whole[6], shortSide: whole[7], interpolation: .bilinear, channels: .rgb)
    let image = Pixels(width: whole[0], height: whole[1], bytes: [])
    let found = ModelContract.detections.decode(
        boxes: try floats("\(number).boxes"), logits: try floats("\(number).logits"), seen: try geometry.seen(of: image),
        scoreThreshold: Float(words[2])!, iouThreshold: Float(words[3])!, most: whole[4])
    let lines = found.map { "\($0.index) \($0.score) \($0.box.minX) \($0.box.minY) \($0.box.maxX) \($0.box.maxY)\n" }
    try lines.joined().write(toFile: "\(folder)/\(number).found", atomically: false, encoding: .utf8)
}
