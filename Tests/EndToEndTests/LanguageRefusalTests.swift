import Posix
import TestKit
import Testing

@Suite struct LanguageRefusalTests {
  @Test("programs, scripts and templates are compiled when manifests load")
  func languages() async throws {
    try await withTemporaryFolder { folder in
      func sensor(_ transform: String, script: String, template: String) -> String {
        """
        apiVersion: argoproj.io/v1alpha1
        kind: Sensor
        metadata: {name: two}
        spec:
          dependencies:
            - name: a
              eventSourceName: one
              eventName: push
              transform: {\(transform)}
              filters: {script: '\(script)'}
          triggers:
            - template:
                name: t
                log: {}
              parameters:
                - {src: {dependencyName: a, dataTemplate: '\(template)'}, dest: log.intervalSeconds}
        """
      }
      let path = folder + "/a.yaml"
      for (transform, script, template, wanted) in [
        ("jq: '.a | nosuch'", "return true", "x", ["transform.jq", "nosuch"]),
        ("jq: input", "return true", "x", ["transform.jq", "'input' is not available"]),
        ("script: 'return ('", "return true", "x", ["transform.script", "line 1"]),
        ("jq: .", "if", "x", ["filters.script", "line 1"]),
        ("jq: .", "return true", "{{ .Input", ["dataTemplate", "unclosed action"]),
      ] {
        let text = sensor(transform, script: script, template: template)
        try Files.writeDurably(Array(text.utf8), to: path)
        let answer = try signalbox(["validate", path])
        #expect(answer.status == 1)
        for words in wanted { #expect(answer.output.contains(words), "\(answer.output)") }
      }
      let text = sensor("jq: .", script: "return true", template: "{{ env \"A\" }}")
      try Files.writeDurably(Array(text.utf8), to: path)
      let answer = try signalbox(["validate", path])
      #expect(answer.output.contains("warning"), "\(answer.output)")
      #expect(answer.output.contains("env: the process environment holds secrets"))
    }
  }
}
