package record

const hexDigits = "0123456789abcdef"

// MaxDataOverhead is the most bytes that AppendData writes besides the hex digits.
const MaxDataOverhead = len("[01234567-89ab-cdef-0123-456789abcdef][65535] L4D1 data") +
	len(" conn=0123456789abcdef-0123456789abcdef") +
	len(" seq=18446744073709551615") +
	len(" direction=downstream") +
	len(" offset=18446744073709551615") +
	len(" time=-9223372036854775808") +
	len(" length=18446744073709551615") +
	len(" masked=18446744073709551615") +
	len(" data=") + len(sumKey) + len("01234567")

// MaxOpenBytes is the most bytes that AppendOpen writes; the other records besides data are shorter.
const MaxOpenBytes = MaxDataOverhead + 2*MaxAddressBytes + MaxSNIBytes + MaxPeerBytes + maxNextBytes + 160

// AppendData appends a data record of payload, which begins at offset of its direction's stream, and returns the
// extended slice. Allocation-free if dst has room for MaxDataOverhead + 2·len(payload) more bytes.
func AppendData(dst []byte, h *Header, d Direction, offset uint64, payload []byte) []byte {
	return AppendMasked(dst, h, d, offset, payload, 0)
}

// AppendMasked appends a data record as AppendData does, of a payload of which so many bytes were overwritten.
func AppendMasked(dst []byte, h *Header, d Direction, offset uint64, payload []byte, masked int) []byte {
	start := len(dst)
	dst = appendDataHead(dst, h, d, offset, len(payload), masked)
	text := dst[start:]
	dst = appendHex(dst, payload)
	return appendSum(dst, text, payload)
}

// appendDataHead appends a data record up to the hex digits.
func appendDataHead(dst []byte, h *Header, d Direction, offset uint64, length, masked int) []byte {
	dst = appendHeader(dst, h, KindData)
	dst = appendPosition(dst, h, d, offset)
	dst = append(dst, " length="...)
	dst = appendUint(dst, uint64(length))
	if masked > 0 {
		dst = append(dst, " masked="...)
		dst = appendUint(dst, uint64(masked))
	}
	return append(dst, " data="...)
}

// AppendOpen appends an open record and returns the extended slice. Texts are escaped (see appendText).
func AppendOpen(dst []byte, h *Header, o *Open) []byte {
	start := len(dst)
	dst = appendHeader(dst, h, KindOpen)
	dst = appendTime(dst, h)
	dst = appendText(dst, " unit=", o.Unit, maxWordBytes)
	dst = append(dst, " started="...)
	dst = appendInt(dst, o.Started)
	if o.HasProxyConn {
		dst = append(dst, " proxy_conn="...)
		dst = appendUint(dst, o.ProxyConn)
	}
	dst = appendText(dst, " source=", o.Source, MaxAddressBytes)
	dst = appendText(dst, " destination=", o.Destination, MaxAddressBytes)
	dst = appendText(dst, " sni=", o.SNI, MaxSNIBytes)
	dst = appendText(dst, " peer=", o.Peer, MaxPeerBytes)
	if o.MTLS {
		dst = append(dst, " mtls=true"...)
	}
	dst = appendText(dst, " next=", o.Next, maxNextBytes)
	return appendSum(dst, dst[start:], nil)
}

// AppendEnd appends the end of direction d's stream, which was length bytes long, and returns the extended slice.
// Allocation-free if dst has room for MaxDataOverhead more bytes.
func AppendEnd(dst []byte, h *Header, d Direction, length uint64) []byte {
	start := len(dst)
	dst = appendHeader(dst, h, KindEnd)
	dst = appendPosition(dst, h, d, length)
	return appendSum(dst, dst[start:], nil)
}

// AppendClose appends a close record and returns the extended slice.
func AppendClose(dst []byte, h *Header, c *Close) []byte {
	start := len(dst)
	dst = appendHeader(dst, h, KindClose)
	dst = appendTime(dst, h)
	dst = appendText(dst, " by=", c.By, maxWordBytes)
	dst = appendLedger(dst, " downstream=", &c.Downstream)
	dst = appendLedger(dst, " upstream=", &c.Upstream)
	return appendSum(dst, dst[start:], nil)
}

func appendHeader(dst []byte, h *Header, k Kind) []byte {
	dst = AppendPrefix(dst, h.Window, h.Port)
	dst = append(dst, mark[1:]...)
	dst = append(dst, k.String()...)
	dst = append(dst, " conn="...)
	dst = h.Conn.Append(dst)
	dst = append(dst, " seq="...)
	return appendUint(dst, h.Seq)
}

// AppendPrefix appends the fields that begin every line of both formats, "[window][port]", and returns the extended
// slice.
func AppendPrefix(dst []byte, window UUID, port uint16) []byte {
	dst = append(dst, '[')
	dst = window.Append(dst)
	dst = append(dst, ']', '[')
	dst = appendUint(dst, uint64(port))
	return append(dst, ']')
}

func appendPosition(dst []byte, h *Header, d Direction, offset uint64) []byte {
	dst = append(dst, " direction="...)
	dst = append(dst, d.String()...)
	dst = append(dst, " offset="...)
	dst = appendUint(dst, offset)
	return appendTime(dst, h)
}

func appendTime(dst []byte, h *Header) []byte {
	dst = append(dst, " time="...)
	return appendInt(dst, h.Time)
}

var ledgerKeys = [...]string{"seen:", ",kept:", ",masked:"}

func appendLedger(dst []byte, key string, l *Ledger) []byte {
	dst = append(dst, key...)
	for i, n := range [...]uint64{l.Seen, l.Kept, l.Masked} {
		if i < 2 || n > 0 {
			dst = append(dst, ledgerKeys[i]...)
			dst = appendUint(dst, n)
		}
	}
	for _, drop := range l.Dropped {
		dst = append(dst, ',')
		dst = append(dst, drop.Reason...)
		dst = append(dst, ':')
		dst = appendUint(dst, drop.Bytes)
	}
	return dst
}

// sumKey begins the field that ends every record.
const sumKey = " sum="

// appendSum ends a record whose text so far, up to the hex digits, is text.
func appendSum(dst, text, payload []byte) []byte {
	return appendHex32(append(dst, sumKey...), checksum(text, payload))
}

func appendHex32(dst []byte, n uint32) []byte {
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[n>>shift&0xf])
	}
	return dst
}

// Digest returns eight hex digits that tell texts apart: the low half of their XXH64.
func Digest(text []byte) string { return string(appendHex32(nil, uint32(xxh64(text, 0)))) }

// checksum ties a record's text and payload together, so that a line made of two others does not pass.
func checksum(text, payload []byte) uint32 {
	return uint32(xxh64(payload, xxh64(text, 0)))
}

// appendText appends key and text, cut to room bytes; nothing if text is empty. Every byte but letters, digits and
// "-._:/@" becomes %XX: a text from the network can neither break a line nor forge a field, and JSON logs need no further
// escaping.
func appendText(dst []byte, key, text string, room int) []byte {
	if text == "" {
		return dst
	}
	dst = append(dst, key...)
	for i := range len(text) {
		c := text[i]
		if isPlain(c) {
			if room < 1 {
				break
			}
			room--
			dst = append(dst, c)
			continue
		}
		if room < 3 {
			break
		}
		room -= 3
		dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&0xf])
	}
	return dst
}

// Printable returns text for a message in a log: every byte but printable ASCII as %XX, and none that could begin a
// record.
func Printable(text string) string {
	b := make([]byte, 0, len(text))
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c > '~' || c == mark[0] && i+1 < len(text) && text[i+1] == mark[1] {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&0xf])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

func isPlain(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == ':' || c == '/' || c == '@'
}

// Append appends the identifier in its canonical form, 36 characters, and returns the extended slice.
func (u UUID) Append(dst []byte) []byte {
	for i, b := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, hexDigits[b>>4], hexDigits[b&0xf])
	}
	return dst
}

// String returns the identifier in its canonical form.
func (u UUID) String() string { return string(u.Append(nil)) }

// Append appends the identifier's text and returns the extended slice.
func (c ConnID) Append(dst []byte) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[c.VM>>shift&0xf])
	}
	dst = append(dst, '-')
	shift := 60
	for shift > 0 && c.Number>>shift == 0 {
		shift -= 4
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[c.Number>>shift&0xf])
	}
	return dst
}

// String returns the identifier's text.
func (c ConnID) String() string { return string(c.Append(nil)) }

func appendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return appendUint(append(dst, '-'), -uint64(n))
	}
	return appendUint(dst, uint64(n))
}

// appendUint is strconv.AppendUint without its tables: the plugin writes few numbers per line.
func appendUint(dst []byte, n uint64) []byte {
	var digits [20]byte
	i := len(digits)
	for {
		i--
		digits[i] = byte('0' + n%10)
		n /= 10
		if n == 0 {
			return append(dst, digits[i:]...)
		}
	}
}
