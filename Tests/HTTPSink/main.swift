// Reads the bodies of requests, stores nothing and answers 200: what `deploy/bench-http` measures.
//
//   http-sink [CERTIFICATE.pem KEY.pem]      prints the port, and the one with TLS; runs until it
//                                            is killed

import Glibc
import HTTP
import Posix
import TLS

struct Sink: RequestHandler {
  func accept(_ head: RequestHead) -> Acceptance {
    .read(bodyLimit: 1 << 20) { _ in .text(200, "OK") }
  }
}

do {
  Signals.ignoreBrokenPipes()
  try raiseDescriptorLimit()
  let stop = try Signals.descriptor([SIGTERM, SIGINT])
  // nginx has one worker process beside it.
  let loop = try EventLoop(name: "http")
  let plain = try await HTTPServer(address: "127.0.0.1", port: 0, loops: [loop], handler: Sink())
  var ports = "\(plain.port)"
  var encrypted: HTTPServer?
  if CommandLine.arguments.count == 3 {
    let identity = try TLSIdentity(
      certificates: try Files.read(CommandLine.arguments[1]),
      key: try Files.read(CommandLine.arguments[2])
    )
    let context = try TLSServerContext([identity], protocols: HTTPServer.protocols)
    let server = try await HTTPServer(
      address: "127.0.0.1",
      port: 0,
      loops: [loop],
      encryption: { .tls(context) },
      handler: Sink()
    )
    ports += " \(server.port)"
    encrypted = server
  }
  try Files.write(Array((ports + "\n").utf8), to: FileDescriptor(owning: dup(1)))
  _ = await loop.readable(of: [stop.raw])
  withExtendedLifetime((plain, encrypted)) {}
} catch {
  print("http-sink: \(error)")
  exit(1)
}
