package guess

import (
	"crypto/tls"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// unhex returns bytes that are written in hex with spaces.
func unhex(text string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

// The first bytes of real clients and servers.
var (
	mysql8Greeting = unhex("4a 00 00 00 0a") + "8.0.36\x00" + unhex("0b 00 00 00 1c 4f 29 60 7e 42 33 17 00 ff ff ff 02 00 ff df 15") +
		strings.Repeat("\x00", 10) + unhex("5a 2b 75 12 32 09 60 16 60 21 38 6c 00") + "caching_sha2_password\x00"
	mysqlLogin = unhex("54 00 00 01 8d a6 0f 00 00 00 00 01 2d") + strings.Repeat("\x00", 23) + "app\x00\x14" +
		strings.Repeat("k", 20) + "shop\x00mysql_native_password\x00"
	mysqlTLSRequest = unhex("20 00 00 01 85 ae ff 19 00 00 00 01 ff") + strings.Repeat("\x00", 23)
	postgresLogin   = unhex("00 00 00 29 00 03 00 00") + "user\x00app\x00database\x00shop\x00\x00"
	mongoHello      = unhex("3b 00 00 00 01 00 00 00 00 00 00 00 d4 07 00 00 04 00 00 00") + "admin.$cmd\x00" +
		unhex("00 00 00 00 ff ff ff ff 14 00 00 00 10") + "isMaster\x00" + unhex("01 00 00 00 00")
	mongoMessage = unhex("26 00 00 00 02 00 00 00 00 00 00 00 dd 07 00 00 00 00 00 00 00 11 00 00 00 10") + "ping\x00" +
		unhex("01 00 00 00 00")
	kafkaVersions = unhex("00 00 00 24 00 12 00 03 00 00 00 01 00 07") + "rdkafka" + unhex("00 0b") + "librdkafka" +
		unhex("06") + "2.3.0" + unhex("00")
)

func TestOf(t *testing.T) {
	long := "GET /" + strings.Repeat("a", MaxBytes)
	for _, row := range []struct {
		name             string
		client, upstream string
		needs            int // the first bytes of client, else of upstream, that suffice; fewer are unknown
		want             Guess
	}{
		{name: "nothing", want: Guess{Protocol: Unknown}},
		{name: "text", client: "hello\n", want: Guess{Protocol: Unknown}},
		{name: "zeros", client: strings.Repeat("\x00", 64), upstream: strings.Repeat("\x00", 64), want: Guess{Protocol: Unknown}},

		{"HTTP/1.1", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", 15, Guess{Protocol: HTTP1, Version: "1.1"}},
		{"HTTP/1.0", "POST /a?b HTTP/1.0\n", "", 19, Guess{Protocol: HTTP1, Version: "1.0"}},
		{"CONNECT", "CONNECT a:443 HTTP/1.1\r\n", "", 23, Guess{Protocol: HTTP1, Version: "1.1"}},
		{"response of HTTP/1", "", "HTTP/1.1 200 OK\r\n", 12, Guess{Protocol: HTTP1, Version: "1.1"}},
		{"longer than is looked at", long, "", MaxBytes, Guess{Protocol: HTTP1}},
		{name: "longer, no path", client: "GET a" + strings.Repeat("a", MaxBytes), want: Guess{Protocol: Unknown}},
		{name: "HTTP/0.9", client: "GET /\r\n", want: Guess{Protocol: Unknown}},
		{name: "no target", client: "GET  HTTP/1.1\r\n", want: Guess{Protocol: Unknown}},
		{name: "no method", client: "GIT / HTTP/1.1\r\n", want: Guess{Protocol: Unknown}},
		{name: "version of the future", client: "GET / HTTP/1.2\r\n", want: Guess{Protocol: Unknown}},
		{name: "no line's end", client: "GET / HTTP/1.1 \r\n", want: Guess{Protocol: Unknown}},
		{name: "no status", upstream: "HTTP/1.1 OK\r\n", want: Guess{Protocol: Unknown}},

		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04", "", 24, Guess{Protocol: HTTP2, Version: "2"}},
		{name: "PRI of something else", client: "PRI * HTTP/2.0\r\n\r\nSM\r\n\rx", want: Guess{Protocol: Unknown}},

		{"Redis", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "", 13, Guess{Protocol: Redis}},
		{"Redis module", "*1\r\n$8\r\nFT._LIST\r\n", "", 18, Guess{Protocol: Redis}},
		{name: "Redis, no elements", client: "*0\r\n$3\r\nGET\r\n", want: Guess{Protocol: Unknown}},
		{name: "Redis, no command", client: "*1\r\n$0\r\n\r\n", want: Guess{Protocol: Unknown}},
		{"Redis, most elements", "*1048576\r\n$3\r\nDEL\r\n", "", 19, Guess{Protocol: Redis}},
		{name: "Redis, elements exceed the maximum by 1", client: "*1048577\r\n$3\r\nDEL\r\n", want: Guess{Protocol: Unknown}},
		{name: "Redis, command exceeds the maximum by 1", client: "*1\r\n$33\r\n" + strings.Repeat("a", 33) + "\r\n", want: Guess{Protocol: Unknown}},
		{name: "Redis, command of bytes", client: "*1\r\n$3\r\nG\x00T\r\n", want: Guess{Protocol: Unknown}},

		{"MySQL", mysqlLogin, mysql8Greeting, 32, Guess{Protocol: MySQL, Version: "8.0.36"}},
		{"MySQL greets", "", mysql8Greeting, 25, Guess{Protocol: MySQL, Version: "8.0.36"}},
		{"MySQL over TLS", mysqlTLSRequest, mysql8Greeting, 32, Guess{Protocol: MySQL, Version: "8.0.36", Encrypted: true}},
		{"MySQL, client only", mysqlLogin, "", 32, Guess{Protocol: MySQL}},
		{"MariaDB", "", unhex("5b 00 00 00 0a") + "5.5.5-10.11.6-MariaDB\x00" + unhex("1f 00 00 00 59 28 43 2e 4e 71 3d 58 00"), 40, Guess{Protocol: MySQL, Version: "5.5.5-10.11.6-MariaDB"}},
		{name: "MySQL, protocol 9", upstream: strings.Replace(mysql8Greeting, "\n", "\t", 1), want: Guess{Protocol: Unknown}},
		{name: "MySQL, not the first packet", upstream: mysql8Greeting[:3] + "\x01" + mysql8Greeting[4:], want: Guess{Protocol: Unknown}},
		{name: "MySQL, version of letters", upstream: strings.Replace(mysql8Greeting, "8.0", "x.0", 1), want: Guess{Protocol: Unknown}},
		{name: "MySQL login, reserved bytes in use", client: strings.Replace(mysqlLogin, "\x2d\x00", "\x2d\x01", 1), want: Guess{Protocol: Unknown}},

		{"PostgreSQL", postgresLogin, "", 13, Guess{Protocol: PostgreSQL, Version: "3.0"}},
		{"PostgreSQL 3.2", strings.Replace(postgresLogin, "\x03\x00\x00", "\x03\x00\x02", 1), "", 13, Guess{Protocol: PostgreSQL, Version: "3.2"}},
		{"PostgreSQL asks for TLS", unhex("00 00 00 08 04 d2 16 2f"), "S", 8, Guess{Protocol: PostgreSQL, Encrypted: true}},
		{"PostgreSQL asks for GSSAPI", unhex("00 00 00 08 04 d2 16 30"), "N", 8, Guess{Protocol: PostgreSQL, Encrypted: true}},
		{"PostgreSQL ends a query", unhex("00 00 00 10 04 d2 16 2e 00 00 00 01 00 00 00 02"), "", 8, Guess{Protocol: PostgreSQL}},
		{name: "PostgreSQL 3.3", client: strings.Replace(postgresLogin, "\x03\x00\x00", "\x03\x00\x03", 1), want: Guess{Protocol: Unknown}},
		{name: "PostgreSQL 4", client: strings.Replace(postgresLogin, "\x03\x00\x00", "\x04\x00\x00", 1), want: Guess{Protocol: Unknown}},
		{name: "PostgreSQL, TLS of another length", client: unhex("00 00 00 09 04 d2 16 2f 00"), want: Guess{Protocol: Unknown}},

		{"MQTT 3.1.1", unhex("10 10 00 04") + "MQTT" + unhex("04 02 00 3c 00 04") + "dev1", "", 9, Guess{Protocol: MQTT, Version: "3.1.1"}},
		{"MQTT 5.0", unhex("10 8d 01 00 04") + "MQTT" + unhex("05 02"), "", 10, Guess{Protocol: MQTT, Version: "5.0"}},
		{"MQTT 3.1", unhex("10 1e 00 06") + "MQIsdp" + unhex("03 02"), "", 11, Guess{Protocol: MQTT, Version: "3.1"}},
		{name: "MQTT 6", client: unhex("10 10 00 04") + "MQTT\x06", want: Guess{Protocol: Unknown}},
		{name: "MQTT, length of five bytes", client: unhex("10 80 80 80 80 01 00 04") + "MQTT\x04", want: Guess{Protocol: Unknown}},

		{"AMQP 0-9-1", "AMQP\x00\x00\x09\x01", "", 8, Guess{Protocol: AMQP, Version: "0-9-1"}},
		{"AMQP 1.0", "AMQP\x00\x01\x00\x00", "", 8, Guess{Protocol: AMQP, Version: "1.0"}},
		{"AMQP 1.0 with SASL", "AMQP\x03\x01\x00\x00", "", 8, Guess{Protocol: AMQP, Version: "1.0"}},
		{"AMQP 1.0 over TLS", "AMQP\x02\x01\x00\x00", "", 8, Guess{Protocol: AMQP, Version: "1.0", Encrypted: true}},
		{name: "AMQP 2", client: "AMQP\x00\x02\x00\x00", want: Guess{Protocol: Unknown}},

		{"MongoDB", mongoMessage, "", 25, Guess{Protocol: MongoDB}},
		{"MongoDB, old", mongoHello, "", 43, Guess{Protocol: MongoDB}},
		{"MongoDB, compressed", unhex("40 00 00 00 02 00 00 00 00 00 00 00 dc 07 00 00 dd 07 00 00 30 00 00 00 01"), "", 20, Guess{Protocol: MongoDB}},
		{name: "MongoDB, an answer", client: mongoMessage[:8] + "\x01" + mongoMessage[9:], want: Guess{Protocol: Unknown}},
		{name: "MongoDB, unknown flags", client: mongoMessage[:16] + "\x04" + mongoMessage[17:], want: Guess{Protocol: Unknown}},
		{name: "MongoDB, document longer than the message", client: mongoMessage[:21] + "\x27" + mongoMessage[22:], want: Guess{Protocol: Unknown}},
		{name: "MongoDB, longest", client: unhex("00 6c dc 02 02 00 00 00 00 00 00 00 dd 07 00 00 00 00 00 00 00 11 00 00 00"), needs: 25, want: Guess{Protocol: MongoDB}},
		{name: "MongoDB, length exceeds the maximum by 1", client: unhex("01 6c dc 02 02 00 00 00 00 00 00 00 dd 07 00 00 00 00 00 00 00 11 00 00 00"), want: Guess{Protocol: Unknown}},

		{"Kafka", kafkaVersions, "", 21, Guess{Protocol: Kafka}},
		{"Kafka, no client's name", unhex("00 00 00 0a 00 12 00 00 00 00 00 01 ff ff"), "", 14, Guess{Protocol: Kafka}},
		{"Kafka, empty name", unhex("00 00 00 0a 00 11 00 01 00 00 00 01 00 00"), "", 14, Guess{Protocol: Kafka}},
		{"Kafka, metadata like a start of PostgreSQL", unhex("00 00 00 0e 00 03 00 00 00 00 00 01 ff ff 00 00 00 00"), "", 14, Guess{Protocol: Kafka}},
		{name: "Kafka, no name, no beginning", client: unhex("00 00 00 0a 00 01 00 00 00 00 00 01 ff ff"), want: Guess{Protocol: Unknown}},
		{name: "Kafka, name longer than the message", client: unhex("00 00 00 0a 00 12 00 00 00 00 00 01 00 01 61"), want: Guess{Protocol: Unknown}},
		{name: "Kafka, name of bytes", client: unhex("00 00 00 0b 00 12 00 00 00 00 00 01 00 01 07"), want: Guess{Protocol: Unknown}},
		{name: "Kafka, unknown key", client: unhex("00 00 00 0b 00 65 00 00 00 00 00 01 00 01 61"), want: Guess{Protocol: Unknown}},

		{name: "TLS alert", client: unhex("15 03 01 00 02 02 28"), upstream: unhex("15 03 01 00 02 02 28"), want: Guess{Protocol: Unknown}},
		{"TLS, hello without extensions", unhex("16 03 01 00 2d 01 00 00 29 03 01") + strings.Repeat("r", 32) + unhex("00 00 02 00 2f 01 00"), "", 9, Guess{Protocol: TLS, Offered: "1.0", Encrypted: true}},
		{name: "TLS, message shorter than a hello", client: unhex("16 03 01 00 29 01 00 00 25 03 01"), want: Guess{Protocol: Unknown}},
		{name: "TLS, record exceeds the maximum by 1", client: unhex("16 03 01 40 01 01 00 01 fc 03 03"), want: Guess{Protocol: Unknown}},
		{"TLS, shortest hello", unhex("16 03 01 00 2a 01 00 00 26 03 01"), "", 9, Guess{Protocol: TLS, Encrypted: true}},
		{"TLS, record of the maximum", unhex("16 03 01 40 00 01 00 01 fc 03 03"), "", 9, Guess{Protocol: TLS, Encrypted: true}},
		{name: "SSH", client: "SSH-2.0-OpenSSH_9.2\r\n", upstream: "SSH-2.0-OpenSSH_9.2\r\n", want: Guess{Protocol: Unknown}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, _ := Of([]byte(row.client), []byte(row.upstream))
			require.Equal(t, row.want, got)
			if row.want.Protocol == Unknown {
				return
			}
			for n := range row.needs {
				client, upstream := row.client[:min(n, len(row.client))], ""
				if row.client == "" {
					upstream = row.upstream[:n]
				}
				got, more := Of([]byte(client), []byte(upstream))
				require.Equal(t, Guess{Protocol: Unknown}, got, "%d bytes", n)
				require.True(t, more, "%d bytes", n)
			}
			if row.client == "" {
				got, _ = Of(nil, []byte(row.upstream[:row.needs]))
			} else {
				got, _ = Of([]byte(row.client[:row.needs]), nil)
			}
			require.Equal(t, row.want.Protocol, got.Protocol)
		})
	}
}

// TestMore holds that no more bytes are asked for if none can change what was found.
func TestMore(t *testing.T) {
	for _, row := range []struct {
		name             string
		client, upstream string
		want             bool
	}{
		{"nothing", "", "", true},
		{"known", "GET / HTTP/1.1\r\n", "", false},
		{"client unknown, service to come", "hello\n", "", true},
		{"both unknown", "hello\n", "world\n", false},
		{"client to come", "", "world\n", true},
		{"MySQL, client to come", "", mysql8Greeting, true},
		{"MySQL, service to come", mysqlLogin, "", true},
		{"MySQL", mysqlLogin, mysql8Greeting, false},
		{"as much as is looked at", "GET a" + strings.Repeat("a", MaxBytes), "world\n", false},
		{"as much but one", "GET a" + strings.Repeat("a", MaxBytes-6), "world\n", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, more := Of([]byte(row.client), []byte(row.upstream))
			require.Equal(t, row.want, more)
		})
	}
}

// TestTLS has crypto/tls shake hands.
func TestTLS(t *testing.T) {
	for _, row := range []struct {
		name                 string
		clientMost, mostThis uint16
		sni                  string
		want                 Guess
	}{
		{"1.3", tls.VersionTLS13, tls.VersionTLS13, "orders.example", Guess{TLS, "1.3", "1.3", "orders.example", true}},
		{"the server takes a lower one", tls.VersionTLS13, tls.VersionTLS12, "orders.example", Guess{TLS, "1.2", "1.3", "orders.example", true}},
		{"1.2, no name", tls.VersionTLS12, tls.VersionTLS13, "", Guess{TLS, "1.2", "1.2", "", true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			client, server := shake(t, &tls.Config{MaxVersion: row.clientMost, ServerName: row.sni, InsecureSkipVerify: true}, row.mostThis)
			got, more := Of(client, server)
			require.Equal(t, row.want, got)
			require.False(t, more)

			half := row.want
			half.Version = ""
			got, more = Of(client, nil)
			require.Equal(t, half, got)
			require.True(t, more)

			got, more = Of(nil, server)
			require.Equal(t, Guess{Protocol: TLS, Version: row.want.Version, Encrypted: true}, got)
			require.True(t, more)

			// The same handshake message in two records.
			const cut = 60
			length := int(client[3])<<8 | int(client[4])
			split := append([]byte{client[0], client[1], client[2], 0, cut}, client[5:5+cut]...)
			split = append(split, client[0], client[1], client[2], byte((length-cut)>>8), byte(length-cut))
			split = append(split, client[5+cut:5+length]...)
			got, _ = Of(split, server)
			require.Equal(t, row.want, got)

			for n := range client { // what it says of a part is never wrong
				got, _ := Of(client[:n], nil)
				require.Contains(t, []Protocol{Unknown, TLS}, got.Protocol)
				require.Contains(t, []string{"", half.SNI}, got.SNI)
				require.Contains(t, []string{"", half.Offered}, got.Offered)
			}
		})
	}
}

// shake returns the first bytes that a client and a server of TLS send.
func shake(t *testing.T, client *tls.Config, most uint16) (fromClient, fromServer []byte) {
	near, far := net.Pipe()
	hello := make([]byte, MaxBytes)
	go func() { _ = tls.Client(near, client).Handshake() }()
	n, err := far.Read(hello)
	require.NoError(t, err)
	require.NoError(t, near.Close())

	ours, theirs := net.Pipe()
	go func() {
		_ = tls.Server(theirs, &tls.Config{MaxVersion: most, Certificates: []tls.Certificate{certificate(t)}}).Handshake()
	}()
	_, err = ours.Write(hello[:n])
	require.NoError(t, err)
	answer := make([]byte, 1<<16)
	m, err := io.ReadAtLeast(ours, answer, 100)
	require.NoError(t, err)
	require.NoError(t, ours.Close())
	return hello[:n], answer[:m]
}

func TestSNIOfBytes(t *testing.T) {
	require.Equal(t, "a?b??", hostName([]byte("a\x1bb \xff")))
}

func TestName(t *testing.T) {
	require.Equal(t, "HTTP/1", HTTP1.Name())
	require.Equal(t, "unknown", Unknown.Name())
}

func FuzzOf(f *testing.F) {
	for _, seed := range []string{
		mysqlLogin, mysql8Greeting, postgresLogin, mongoHello, mongoMessage, kafkaVersions,
		"GET / HTTP/1.1\r\n", "HTTP/1.1 200", "*1\r\n$4\r\nPING\r\n", "AMQP\x00\x00\x09\x01",
		unhex("16 03 01 00 2d 01 00 00 29 03 01") + strings.Repeat("r", 32) + unhex("00 00 02 00 2f 01 00 00 00"),
		unhex("10 10 00 04") + "MQTT\x04",
	} {
		f.Add([]byte(seed), []byte(nil))
		f.Add([]byte(nil), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, client, server []byte) {
		got, more := Of(client, server)
		require.NotEmpty(t, got.Protocol.Name())
		require.Zero(t, strings.Trim(got.SNI, "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"))
		if !more && got.Protocol != Unknown && got.Protocol != TLS { // then further bytes change nothing
			again, _ := Of(append(client[:len(client):len(client)], "more"...), server)
			if len(client) > 0 {
				require.Equal(t, got.Protocol, again.Protocol)
			}
		}
	})
}

func TestOfAllocates(t *testing.T) {
	for _, text := range []string{"GET / HTTP/1.1\r\n", strings.Repeat("x", 64), strings.Repeat("\x00", 64), "*1\r\n$4\r\nPING\r\n"} {
		b := []byte(text)
		require.Zero(t, testing.AllocsPerRun(10, func() { Of(b, b) }), text)
	}
}

func BenchmarkOf(b *testing.B) {
	for _, row := range []struct{ name, client, server string }{
		{"http1", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n"},
		{"unknown", strings.Repeat("x", 64), strings.Repeat("y", 64)},
	} {
		client, server := []byte(row.client), []byte(row.server)
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Of(client, server)
			}
		})
	}
}
