import Glibc

/// A number that an environment variable sets, such as the length of a campaign; `standard` where
/// it is unset or no number.
package func setting(_ name: String, _ standard: Int) -> Int {
  unsafe getenv(name).flatMap { unsafe Int(String(cString: $0)) } ?? standard
}
