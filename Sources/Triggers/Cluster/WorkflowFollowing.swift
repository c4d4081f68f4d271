import Cluster
import Event
package import JSON
package import Plugin
import Posix

/// From a run that was started to its end (spec section B.2).
extension WorkflowTrigger {
  package func follow(
    _ firing: Firing,
    started: JSON,
    report: @escaping ProgressReport
  ) async -> Outcome {
    do {
      let connection = try host.cluster.connection()
      let type = try await connection.client.resource(Self.version, kind: "Workflow")
      let watch = RunWatch(
        firing: firing,
        started: started,
        timeout: spec.timeout,
        labels: spec.labels
      )
      let server = server
      let loop = connection.client.loop
      let outcome = await connection.followers.follow(
        type,
        namespace: watch.namespace,
        name: watch.name,
        patience: { watch.patience }
      ) { sighting -> Outcome? in
        switch sighting {
        case .present(let object):
          guard let ending = watch.ending(of: object) else { return nil }
          guard WorkflowState(object).hasDistantNodes, let server,
            let whole = try? await server.get(watch.namespace, watch.name, watch.uid)
          else { return ending }
          // The same end, with what its nodes say.
          return watch.ending(of: whole) ?? ending
        case .gone(let last):
          if let last, let ending = watch.ending(of: last) { return ending }
          if let server, let found = await server.archived(watch.uid, on: loop),
            let ending = watch.ending(of: found)
          {
            return ending
          }
          return .unknown(
            why: "the workflow was deleted before its end was seen",
            result: last.map { WorkflowState($0).result } ?? started
          )
        case .nothing: return watch.expired
        }
      }
      return outcome ?? .retry(after: nil, why: "no longer followed", result: started)
    } catch { return .retry(after: .seconds(5), why: "\(error)", result: started) }
  }
}

/// When a run has ended, and how.
private struct RunWatch: Sendable {
  private let id: String
  private let started: JSON
  private let timeout: Duration?
  private let deadline: MonotonicTime?
  private let labels: LabelPolicy?
  private let labelDeadline: MonotonicTime?

  init(firing: Firing, started: JSON, timeout: Duration?, labels: LabelPolicy?) {
    id = firing.id.text
    self.started = started
    self.timeout = timeout
    self.labels = labels
    deadline = timeout.map { MonotonicTime.now() + $0 }
    labelDeadline = labels?.deadline
  }

  var namespace: String { started["namespace"]?.asString ?? "" }
  var name: String { started["name"]?.asString ?? "" }
  var uid: String { started["uid"]?.asString ?? "" }

  /// Until something is over without a word from the cluster.
  var patience: Duration? {
    [deadline, labelDeadline].compactMap { $0 }.min().map { max(.zero, $0 - MonotonicTime.now()) }
  }

  /// What it means that nothing happened for so long.
  var expired: Outcome? {
    let now = MonotonicTime.now()
    if let labels, let labelDeadline, now >= labelDeadline { return labels.expired(started) }
    guard let deadline, let timeout, now >= deadline else { return nil }
    return .reject(why: "the workflow did not end within \(timeout)", result: started)
  }

  /// nil while it runs.
  func ending(of object: JSON) -> Outcome? {
    let state = WorkflowState(object)
    guard state.uid == uid else {
      return .unknown(
        why: "the workflow was deleted before its end was seen, and another has its name",
        result: started
      )
    }
    // The end that the retry took back.
    if let before = started["retried"], before == .string(state.span) { return expired }
    if let labels, labels.holds(object) { return .done(result: state.result) }
    guard state.isOver else { return expired }
    if state.isSucceeded { return .done(result: state.result) }
    if let why = CancelMark.why(object, id) { return .cancelled(why: why, result: state.result) }
    let words = state.message.isEmpty ? "" : ": \(state.message)"
    return .reject(why: "the workflow ended as \(state.phase)\(words)", result: state.result)
  }
}
