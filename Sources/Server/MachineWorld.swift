package import Expression
import Posix

extension TemplateWorld {
  /// The machine's clock, time zone database and dice.
  package static let machine = TemplateWorld(
    now: {
      let nanoseconds = Int(wallClockNanoseconds())
      return GoTime(
        seconds: nanoseconds / 1_000_000_000,
        nanoseconds: nanoseconds % 1_000_000_000,
        zone: .utc
      )
    },
    zoneFile: { name in
      do { return try Files.read("/usr/share/zoneinfo/" + name, limit: 1 << 20) } catch {
        return nil
      }
    },
    random: { .random(in: 0 ... .max) }
  )
}
