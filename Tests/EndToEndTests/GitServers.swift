import Foundation
import Glibc
import Posix
import TestKit

/// A program that is ended with its owner. Not Foundation's: that takes a program which closes what
/// it inherited, as sshd does, for one that ended, and waits for it.
private final class Child {
  private let id: ProcessID
  private var isOver = false

  /// nil where it is not installed.
  init?(_ path: String, _ arguments: [String]) throws {
    guard Files.kind(path) == .file else {
      print("not run: there is no \(path)")
      return nil
    }
    let program = Posix.Program(
      path: path,
      arguments: [path] + arguments,
      environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
    )
    let null = try FileDescriptor.open("/dev/null", O_RDWR)
    id = try program.start(descriptors: [null.raw, null.raw, null.raw])
  }

  func wait() {
    var status: Int32 = 0
    while unsafe waitpid(id, &status, 0) < 0, errno == EINTR {}
    isOver = true
  }

  deinit {
    if isOver { return }
    kill(id, SIGTERM)
    wait()
  }
}

/// Waits until something listens on `port`.
private func awaitListener(_ port: Int) throws {
  let deadline = MonotonicTime.now() + .seconds(20)
  let request = Array("GET / HTTP/1.0\r\n\r\n".utf8)
  while true {
    do throws(SystemError) {
      _ = try Socket.exchange(request, port: port)
      return
    } catch {
      // OpenSSH hangs up on it, and was there to do so.
      if error.code != ECONNREFUSED { return }
      guard MonotonicTime.now() < deadline else { throw error }
    }
    _ = poll(nil, 0, 20)
  }
}

/// OpenSSH on a high port, with a key of its own and one for its client.
final class SSHServer {
  private let process: Child
  private let port: Int
  private let folder: String

  init?(_ folder: String) throws {
    self.folder = folder
    port = try freePort()
    for name in ["host", "client"] {
      let keygen = try Child(
        "/usr/bin/ssh-keygen",
        ["-q", "-t", "ed25519", "-N", "", "-f", "\(folder)/\(name)-key"]
      )
      guard let keygen else { return nil }
      keygen.wait()
    }
    let settings = """
      Port \(port)
      ListenAddress 127.0.0.1
      HostKey \(folder)/host-key
      AuthorizedKeysFile \(folder)/client-key.pub
      PidFile none
      StrictModes no
      UsePAM no
      PermitRootLogin prohibit-password
      PasswordAuthentication no
      """
    try write(settings, folder + "/sshd.conf")
    if getuid() == 0 { try Files.makeFolder("/run/sshd", mode: 0o755) }
    let started = try Child("/usr/sbin/sshd", ["-D", "-f", folder + "/sshd.conf"])
    guard let started else { return nil }
    process = started
    try awaitListener(port)
  }

  /// The keys of a client that knows this server, as a `git` source names them.
  func clientFiles() throws -> (identity: String, knownHosts: String) {
    let key = try String(contentsOfFile: folder + "/host-key.pub", encoding: .utf8)
    try write("[127.0.0.1]:\(port) \(key)", folder + "/known-hosts")
    return (folder + "/client-key", folder + "/known-hosts")
  }

  func url(_ path: String) -> String { "ssh://\(NSUserName())@127.0.0.1:\(port)\(path)" }

  var command: String {
    "ssh -F /dev/null -i \(folder)/client-key -oBatchMode=yes -oStrictHostKeyChecking=no "
      + "-oUserKnownHostsFile=/dev/null -oLogLevel=ERROR"
  }
}

/// git-http-backend behind nginx.
final class SmartHTTPServer {
  private let nginx: Child
  private let wrapper: Child
  private let port: Int

  private let scheme: String

  /// - Parameter isEncrypted: whether it has the tests' certificate.
  init?(_ folder: String, isEncrypted: Bool = false) throws {
    port = try freePort()
    scheme = isEncrypted ? "https" : "http"
    var listen = "listen 127.0.0.1:\(port);"
    if isEncrypted {
      try write(TestCertificates.one, folder + "/server.pem")
      try write(TestCertificates.oneKey, folder + "/server.key")
      try write(TestCertificates.authority, folder + "/authority.pem")
      listen =
        "listen 127.0.0.1:\(port) ssl; ssl_certificate \(folder)/server.pem;"
        + " ssl_certificate_key \(folder)/server.key;"
    }
    let backend = "/usr/lib/git-core/git-http-backend"
    guard Files.kind(backend) == .file else { return nil }
    let socket = folder + "/cgi.sock"
    let settings = """
      \(getuid() == 0 ? "user root;" : "")
      daemon off; worker_processes 1; pid \(folder)/nginx.pid; error_log \(folder)/nginx.log;
      events {}
      http {
        access_log off;
        client_body_temp_path \(folder)/body; proxy_temp_path \(folder)/proxy;
        fastcgi_temp_path \(folder)/fastcgi; uwsgi_temp_path \(folder)/uwsgi;
        scgi_temp_path \(folder)/scgi;
        server {
          \(listen)
          location / {
            fastcgi_pass unix:\(socket);
            fastcgi_param SCRIPT_FILENAME \(backend);
            fastcgi_param GIT_PROJECT_ROOT \(folder);
            fastcgi_param GIT_HTTP_EXPORT_ALL "";
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param REMOTE_USER tester;
            fastcgi_param REMOTE_ADDR $remote_addr;
          }
        }
      }
      """
    try write(settings, folder + "/nginx.conf")
    guard let wrapper = try Child("/usr/sbin/fcgiwrap", ["-s", "unix:" + socket]),
      let nginx = try Child("/usr/sbin/nginx", ["-p", folder, "-c", folder + "/nginx.conf"])
    else { return nil }
    self.wrapper = wrapper
    self.nginx = nginx
    try awaitListener(port)
  }

  func url(_ path: String) -> String { "\(scheme)://127.0.0.1:\(port)/\(path)" }
}
