import Glibc
import Posix
import TestKit

// Serves the tests' API server of a cluster until a signal ends it, for clients in other processes:
// `swift run test-cluster KUBECONFIG`.

guard CommandLine.arguments.count == 2 else {
  print("usage: test-cluster FILE, which becomes the server's kubeconfig")
  exit(2)
}
let cluster = try await TestCluster()
try Files.writeDurably(Array(cluster.kubeconfig.utf8), to: CommandLine.arguments[1])
print("ready: kubectl --kubeconfig \(CommandLine.arguments[1]) get namespaces")
fflush(nil)
while true { pause() }
