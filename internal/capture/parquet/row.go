package parquet

// KindVerdict is the Kind of the row that follows a connection's records and says what is known of it as a whole.
const KindVerdict = "verdict"

// Row is a row of the file: a record with what is known of its connection, or a connection's verdict. What is not known,
// or not said by this kind of row, is null. Numbers are signed, as not every reader of Parquet has unsigned ones.
type Row struct {
	// Each row.
	Window string `parquet:"window,dict"`                      // identifier of the window, as in a dump line
	Port   int32  `parquet:"port,dict"`                        // that the client connected to; 0: not known
	Conn   string `parquet:"conn,dict"`                        // identifier of the connection, as in a dump line
	Kind   string `parquet:"kind,dict"`                        // "open", "data", "end", "close" or KindVerdict
	Time   int64  `parquet:"time,timestamp(nanosecond),delta"` // nanoseconds since the Unix epoch; of a verdict, that of the row before

	// A record.
	Seq *int64 `parquet:"seq"`

	// "data" and "end".
	Direction *string `parquet:"direction,dict"` // "downstream" or "upstream"
	Offset    *int64  `parquet:"offset"`         // of the first byte in the direction's stream; of "end", the stream's length

	// "data".
	Length  *int64 `parquet:"length"`      // bytes of Payload
	Masked  *int64 `parquet:"masked,dict"` // of them, those that the recorder has overwritten
	Cut     *bool  `parquet:"cut"`         // bytes may follow that are not there, and how many is not known
	Payload []byte `parquet:"payload,optional"`

	// Each row whose connection's open record is there. Texts that are not UTF-8 have U+FFFD in the place of what is not.
	Unit        *string `parquet:"unit,dict"`
	Started     *int64  `parquet:"started,timestamp(nanosecond),dict"` // when the proxy accepted the connection
	ProxyConn   *int64  `parquet:"proxy_conn,dict"`
	Source      *string `parquet:"source,dict"`
	Destination *string `parquet:"destination,dict"`
	SNI         *string `parquet:"sni,dict"`
	Peer        *string `parquet:"peer,dict"`
	MTLS        *bool   `parquet:"mtls"`
	Next        *string `parquet:"next,dict"`

	// "close", the ledgers unless the recorder has none.
	ClosedBy          *string `parquet:"closed_by,dict"`
	DownstreamSeen    *int64  `parquet:"downstream_seen"`
	DownstreamKept    *int64  `parquet:"downstream_kept"`
	DownstreamMasked  *int64  `parquet:"downstream_masked"`
	DownstreamDropped []Drop  `parquet:"downstream_dropped,list"`
	UpstreamSeen      *int64  `parquet:"upstream_seen"`
	UpstreamKept      *int64  `parquet:"upstream_kept"`
	UpstreamMasked    *int64  `parquet:"upstream_masked"`
	UpstreamDropped   []Drop  `parquet:"upstream_dropped,list"`

	// Each row: what is wrong with the connection and showed after the row before it, with its place in the input.
	Faults []string `parquet:"faults,list"`

	// A verdict.
	State             *string `parquet:"state,dict"`         // as capture.State spells it
	Verdict           *string `parquet:"verdict,dict"`       // the same for a person, with the cause
	CertainDownstream *int64  `parquet:"certain_downstream"` // the first bytes of the stream that are certain
	CertainUpstream   *int64  `parquet:"certain_upstream"`
	TLS               *bool   `parquet:"tls"` // a direction begins with a TLS handshake: what follows is ciphertext
}

// Drop is a number of bytes that were not recorded for one reason.
type Drop struct {
	Reason string `parquet:"reason,dict"`
	Bytes  int64  `parquet:"bytes"`
}
