package final class HTTPClient: Sendable { package init() {} }
