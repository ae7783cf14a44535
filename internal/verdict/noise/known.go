package noise

// Known returns what differs between any two answers of a protocol, by its specification or by custom.
func Known() []Rule {
	rules := []Rule{
		{Protocol: "http1", Path: "header:date", Form: "http-date", Reason: "the time of the answer (RFC 9110)"},
		{Protocol: "http1", Path: "header:age", Form: "integer", Reason: "the time in a cache (RFC 9111)"},
		{Protocol: "http1", Path: "header:x-request-id", Reason: "drawn for each request"},
		{Protocol: "http1", Path: "header:x-correlation-id", Reason: "drawn for each request"},
		{Protocol: "http1", Path: "header:traceparent", Reason: "drawn for each request (W3C Trace Context)"},
		{Protocol: "http1", Path: "header:x-b3-*", Reason: "drawn for each request (Zipkin)"},
		{Protocol: "http1", Path: "header:x-envoy-upstream-service-time", Form: "integer", Reason: "a duration"},
		{Protocol: "http1", Path: "header:server-timing", Reason: "durations"},
		{Protocol: "redis", Class: "TIME", Path: "value:$*", Form: "integer", Reason: "the time"},
		{Protocol: "redis", Class: "CLIENT ID", Path: "value:$", Form: "integer", Reason: "counts connections"},
		{Protocol: "redis", Class: "CLIENT LIST", Path: "value:$", Reason: "the state of the connections"},
		{Protocol: "redis", Class: "CLIENT INFO", Path: "value:$", Reason: "the state of the connection"},
		{Protocol: "redis", Class: "HELLO*", Path: "value:$.id", Form: "integer", Reason: "counts connections"},
		{Protocol: "redis", Class: "INFO", Path: "value:$", Reason: "the state of the server"},
		{Protocol: "redis", Class: "LASTSAVE", Path: "value:$", Form: "integer", Reason: "a time"},
	}
	for i := range rules {
		rules[i].known = true
	}
	return rules
}
