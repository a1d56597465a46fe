// main FOLDER COUNT: prepares FOLDER/N.ppm by the generated code and writes the input as FOLDER/N.bytes.
import Foundation

func readImage(_ path: String) throws -> Pixels {
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    var words = [String]()
    var place = 0
    while words.count < 4 {
        let end = bytes[place...].firstIndex { $0 == 10 || $0 == 32 }!
        words.append(String(decoding: bytes[place..<end], as: UTF8.self))
        place = end + 1
    }
    return Pixels(width: Int(words[1])!, height: Int(words[2])!, bytes: Array(bytes[place...]))
}

let folder = CommandLine.arguments[1]
for number in 0..<Int(CommandLine.arguments[2])! {
    let pixels = try ModelContract.geometry.prepare(readImage("\(folder)/\(number).ppm"))
    try Data(encoded(pixels)).write(to: URL(fileURLWithPath: "\(folder)/\(number).bytes"))
}
