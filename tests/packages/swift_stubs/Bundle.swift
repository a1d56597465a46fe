// What the Swift package manager generates for a package with resources.
import Foundation

extension Bundle {
    static let module = Bundle.main
}
