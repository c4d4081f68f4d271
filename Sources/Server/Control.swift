import HTTP
import JSON

/// What the operator of this machine may do: the handler of `DIR/control.sock`, which only its
/// owner can open.
struct Control: RequestHandler {
  let installation: Installation

  func accept(_ head: RequestHead) -> Acceptance {
    let questions = OperatorQuestions { [installation] in installation }
    if let acceptance = questions.accept(head) { return acceptance }
    switch (head.method, head.path) {
    case ("GET", "/status"):
      return .read(bodyLimit: 0) { _ in .json(200, await installation.status().encoded()) }
    case ("POST", "/reload"):
      return .read(bodyLimit: 0) { _ in
        let reload = await installation.reload()
        return .json(reload.isDone ? 200 : 422, reload.json.encoded())
      }
    case ("POST", "/takeover"):
      return .read(bodyLimit: 0) { _ in await installation.handOut() }
    case ("POST", "/takeover/confirm"):
      return .read(bodyLimit: 0) { _ in
        await installation.handOver()
        return .json(202, JSON.object([.init(key: "stopping", value: true)]).encoded())
      }
    default:
      let paths = "GET /status, POST /reload, POST /takeover, \(OperatorQuestions.paths)"
      return .answer(.text(404, "there are \(paths)"))
    }
  }
}
