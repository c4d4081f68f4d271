import Event
import JSON
package import Manifest
package import Plugin
import Posix

/// `file`: what happens to files of a folder (spec section 2.7), by the kernel's word. What happens
/// while the program is down is not seen.
package struct FileSource: EventSource {
  package typealias Spec = FileSpec

  package static let kind = "file"
  package static let reachesMachine = true
  /// What comes within it is read at once.
  private static let pause = Duration.milliseconds(20)

  private let spec: FileSpec
  private let name: EventSourceName
  private let host: any SourceHost

  package init(_ spec: Spec, name: EventSourceName, host: any SourceHost, _ block: Block) {
    (self.spec, self.name, self.host) = (spec, name, host)
  }

  /// Who may write into the folder is the operator's choice.
  package var isAuthenticated: Bool { true }

  package func run() async {
    guard let loop = host.loop else { return }
    var wait = Duration.seconds(1)
    var wasTold = false
    while !Task.isCancelled {
      do throws(SystemError) {
        var watch = try FileWatch(spec.directory, isRecursive: spec.isRecursive)
        host.log(.info, "watching a folder", [("source", "\(name)"), ("folder", spec.directory)])
        (wait, wasTold) = (.seconds(1), false)
        try await follow(&watch, loop)
      } catch {
        if !wasTold {
          host.log(
            .error,
            "a folder cannot be watched; trying again",
            [("source", "\(name)"), ("error", "\(error)")]
          )
        }
        wasTold = true
        await host.sleep(for: wait)
        wait = min(wait * 2, .seconds(30))
      }
    }
  }

  /// Until the task is cancelled or the folder is gone.
  private func follow(_ watch: inout FileWatch, _ loop: EventLoop) async throws(SystemError) {
    while !Task.isCancelled {
      await loop.waitUntilReadable(watch.raw)
      if Task.isCancelled { return }
      await host.sleep(for: Self.pause)
      let batch = try watch.read()
      var events = batch.events.filter { spec.changes.contains($0.change) && spec.wants($0.path) }
        .map(event)
      if batch.hasLost {
        events.append(
          host.notice("file.lost", id: Event.randomID(), [], about: name)
        )
      }
      await store(events)
      if batch.isGone { throw SystemError("watch", spec.directory, code: 2) }
    }
  }

  private func store(_ events: [Event]) async {
    var wait = Duration.seconds(1)
    while !events.isEmpty, !Task.isCancelled {
      do throws(SinkError) {
        _ = try await host.append(events, places: [], from: name)
        return
      } catch {
        host.log(
          .error,
          "changes of files could not be stored; trying again",
          [("source", "\(name)"), ("error", "\(error)")]
        )
        await host.sleep(for: wait)
        wait = min(wait * 2, .seconds(60))
      }
    }
  }

  private func event(_ change: FileWatch.Event) -> Event {
    let path = spec.directory == "/" ? "/" + change.path : spec.directory + "/" + change.path
    let data: JSON = [
      "name": .string(path), "op": JSON(change.change.rawValue),
      "metadata": spec.metadata.isEmpty ? .null : .object(spec.metadata),
    ]
    return Event(
      id: Event.randomID(),
      namespace: name.namespace,
      bus: name.bus,
      source: name.source,
      type: Self.kind,
      subject: name.event,
      time: host.now(),
      data: data.encoded()
    )
  }
}
