import Glibc
import Logging
import Manifest
import Posix

/// Rings when something in the folders of manifests has changed and is quiet again. What it rings
/// for may be nothing; whoever hears it looks.
struct ManifestWatch: Sendable {
  let paths: [String]
  let loop: EventLoop
  let bell: Bell
  let logger: Logger

  /// How long a change waits for the next one, and at most: an editor and a checkout write many
  /// files.
  private static let quiet = Duration.milliseconds(200)
  private static let rounds = 20
  private static let depthMax = 32

  private static let mask = UInt32(
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF
      | IN_MOVE_SELF
  )

  /// Watches until the task is cancelled.
  func run() async {
    do throws(SystemError) {
      let news = try Inotify()
      try await listen(to: news)
    } catch {
      logger.warning(
        "changes of manifests are not seen; use signalbox reload",
        metadata: ["error": "\(error)"]
      )
    }
  }

  private func listen(to news: borrowing Inotify) async throws(SystemError) {
    for path in paths { watch(path, 0, news) }
    while !Task.isCancelled {
      await loop.waitUntilReadable(news.raw)
      if Task.isCancelled { return }
      var rounds = 0
      while try !news.read().isEmpty, rounds < Self.rounds {
        rounds += 1
        await loop.sleep(for: Self.quiet)
        if Task.isCancelled { return }
      }
      // New folders may have had files before they were watched: watched first, then looked at.
      for path in paths { watch(path, 0, news) }
      bell.ring()
    }
  }

  /// Adds a folder and those below it, or the folder of a file; what is watched stays so.
  private func watch(_ path: String, _ depth: Int, _ news: borrowing Inotify) {
    guard depth <= Self.depthMax else { return }
    guard Files.kind(path) == .folder else {
      if depth == 0 { add(Files.parent(of: path), news) }
      return
    }
    add(path, news)
    for name in (try? Files.list(path)) ?? [] where !name.hasPrefix(".") {
      let child = path.hasSuffix("/") ? path + name : path + "/" + name
      if Files.kind(child) == .folder { watch(child, depth + 1, news) }
    }
  }

  private func add(_ folder: String, _ news: borrowing Inotify) {
    do throws(SystemError) { _ = try news.watch(folder, Self.mask) } catch {
      logger.warning(
        "a folder of manifests cannot be watched",
        metadata: ["folder": "\(folder)", "error": "\(error)"]
      )
    }
  }
}
