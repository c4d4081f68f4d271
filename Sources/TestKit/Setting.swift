import Glibc

/// A number that an environment variable sets, such as the length of a campaign; `standard` where
/// it is unset or no number.
package func setting(_ name: String, _ standard: Int) -> Int {
  unsafe getenv(name).flatMap { unsafe Int(String(cString: $0)) } ?? standard
}

/// What an environment variable holds; nil where it is unset or empty.
package func setting(_ name: String) -> String? {
  unsafe getenv(name).map { unsafe String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
}
