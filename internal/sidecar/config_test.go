package sidecar

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRedaction(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no secret", `{ "a": [1, 1.50, true, null, "b"] }`, `{"a":[1,1.50,true,null,"b"]}`},
		{"private key", `{"private_key":{"inline_string":"KEY"}}`, `{"private_key":{"inline_string":"[redacted]"}}`},
		{"private key in bytes", `{"private_key":{"inline_bytes":"S0VZ"}}`, `{"private_key":{"inline_bytes":"[redacted]"}}`},
		{"as Envoy hides it", `{"private_key":{"inline_bytes":"W3JlZGFjdGVkXQ=="}}`, `{"private_key":{"inline_bytes":"[redacted]"}}`},
		{"file of a private key", `{"private_key":{"filename":"/k"}}`, `{"private_key":{"filename":"[redacted]"}}`},
		{"password", `{"password":"p"}`, `{"password":"[redacted]"}`},
		{"password of an extension", `{"auth_password":{"inline_string":"p"}}`, `{"auth_password":{"inline_string":"[redacted]"}}`},
		{"numbers and lists below a secret", `{"passwords":[1,{"x":true}]}`, `{"passwords":["[redacted]",{"x":"[redacted]"}]}`},
		{"null is no secret", `{"password":null}`, `{"password":null}`},
		{"other spelling", `{"PrivateKey":"k","api-key":"k","clientSecret":"k"}`, `{"PrivateKey":"[redacted]","api-key":"[redacted]","clientSecret":"[redacted]"}`},
		{
			"tokens and keys", `{"token":"t","auth_token":"t","refreshToken":"t","token_secret":{"inline_string":"s"},"secret_key":"k","hmac_key":"k","passwd":"p","GITHUB_TOKEN":"t"}`,
			`{"token":"[redacted]","auth_token":"[redacted]","refreshToken":"[redacted]","token_secret":{"inline_string":"[redacted]"},"secret_key":"[redacted]","hmac_key":"[redacted]","passwd":"[redacted]","GITHUB_TOKEN":"[redacted]"}`,
		},
		{"session ticket keys", `{"session_ticket_keys":{"keys":[{"inline_bytes":"eA=="}]}}`, `{"session_ticket_keys":{"keys":[{"inline_bytes":"[redacted]"}]}}`},
		{
			"secret of SDS", `{"dynamic_active_secrets":[{"name":"n","secret":{"name":"n","tls_certificate":{"certificate_chain":{"inline_bytes":"Q0VSVA=="},"private_key":{"inline_bytes":"S0VZ"}}}}]}`,
			`{"dynamic_active_secrets":[{"name":"n","secret":{"name":"n","tls_certificate":{"certificate_chain":{"inline_bytes":"Q0VSVA=="},"private_key":{"inline_bytes":"[redacted]"}}}}]}`,
		},
		{"generic secret", `{"generic_secret":{"secret":{"inline_string":"s"}}}`, `{"generic_secret":{"secret":{"inline_string":"[redacted]"}}}`},
		{"plain secret", `{"secret":"s"}`, `{"secret":"[redacted]"}`},
		{"inline data in a TLS context", `{"common_tls_context":{"x":{"inline_string":"s"}}}`, `{"common_tls_context":{"x":{"inline_string":"[redacted]"}}}`},
		{
			"certificates in a TLS context", `{"common_tls_context":{"validation_context":{"trusted_ca":{"inline_string":"CERT"}}}}`,
			`{"common_tls_context":{"validation_context":{"trusted_ca":{"inline_string":"CERT"}}}}`,
		},
		{"inline data elsewhere", `{"direct_response":{"body":{"inline_string":"hello"}}}`, `{"direct_response":{"body":{"inline_string":"hello"}}}`},
		{"line breaks", "{\"a\":\"x\\ny\u2028\"}", `{"a":"x\ny\u2028"}`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := redactConfig([]byte(tc.text))
			require.NoError(t, err)
			require.Equal(t, tc.want, string(got.line))
			again, err := redactConfig(got.line)
			require.NoError(t, err)
			require.Equal(t, tc.want, string(again.line), "once redacted it stays")
		})
	}
}

func TestDigest(t *testing.T) {
	const base = `{"configs":[{"@type":"c","version_info":"1","last_updated":"a","dynamic_active_clusters":[{"name":"x"},{"name":"y"}]}],"n":1}`
	tests := []struct {
		name, text string
		same       bool
	}{
		{"itself", base, true},
		{"layout", strings.ReplaceAll(base, ",", " ,\n"), true},
		{"order of members", `{"n":1,"configs":[{"last_updated":"a","@type":"c","version_info":"1","dynamic_active_clusters":[{"name":"x"},{"name":"y"}]}]}`, true},
		{"version", strings.Replace(base, `"version_info":"1"`, `"version_info":"2"`, 1), true},
		{"time", strings.Replace(base, `"last_updated":"a"`, `"last_updated":"b"`, 1), true},
		{"no version", strings.Replace(base, `"version_info":"1",`, ``, 1), true},
		{"order of clusters", strings.Replace(base, `{"name":"x"},{"name":"y"}`, `{"name":"y"},{"name":"x"}`, 1), true},
		{"a value", strings.Replace(base, `"n":1`, `"n":2`, 1), false},
		{"another kind", strings.Replace(base, `"n":1`, `"n":"1"`, 1), false},
		{"a key", strings.Replace(base, `"n":1`, `"m":1`, 1), false},
		{"a cluster less", strings.Replace(base, `,{"name":"y"}`, ``, 1), false},
		{"a cluster twice", strings.Replace(base, `{"name":"y"}`, `{"name":"x"}`, 1), false},
		{"an empty list for none", strings.Replace(base, `"n":1`, `"n":[]`, 1), false},
		{"an empty object for none", strings.Replace(base, `"n":1`, `"n":{}`, 1), false},
	}
	want, err := redactConfig([]byte(base))
	require.NoError(t, err)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := redactConfig([]byte(tc.text))
			require.NoError(t, err)
			require.Equal(t, tc.same, got.digest == want.digest)
		})
	}
	ordered, err := redactConfig([]byte(`{"filters":[1,2]}`))
	require.NoError(t, err)
	other, err := redactConfig([]byte(`{"filters":[2,1]}`))
	require.NoError(t, err)
	require.NotEqual(t, ordered.digest, other.digest, "the order of filters says something")

	secret, err := redactConfig([]byte(`{"password":"a"}`))
	require.NoError(t, err)
	renewed, err := redactConfig([]byte(`{"password":"b"}`))
	require.NoError(t, err)
	require.Equal(t, secret.line, renewed.line)
	require.NotEqual(t, secret.digest, renewed.digest, "a new secret is a change")
}

func TestConfigThatIsNoJSON(t *testing.T) {
	for _, text := range []string{"", "{", "[1", `{"a"}`, `{"a":1,}`, "{} {}", "upstream connect error", "\"\xff\""} {
		_, err := redactConfig([]byte(text))
		require.ErrorContains(t, err, "parse configuration", text)
	}
}

func TestBootstrapPart(t *testing.T) {
	part := fmt.Sprintf(`{"bootstrap":{"node":{"id":"n"}},"@type":%q}`, bootstrapType)
	tests := []struct {
		name, text, want string
		fails            bool
	}{
		{name: "first", text: `{"configs":[` + part + `,{"@type":"other"}]}`, want: part},
		{name: "later", text: `{"x":[{}],"configs":[{"a":{"@type":"x"}},{"@type":7},` + part + `]}`, want: part},
		{name: "none", text: `{"configs":[{"@type":"other"}]}`},
		{name: "no list", text: `{"configs":{}}`},
		{name: "no object", text: `[]`, fails: true},
		{name: "cut off", text: `{"configs":[{"@type":`, fails: true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, ok, err := bootstrapPart([]byte(tc.text))
			require.Equal(t, tc.fails, err != nil, "%v", err)
			require.Equal(t, tc.want != "", ok)
			require.Equal(t, tc.want, string(got))
		})
	}
}

func FuzzRedactConfig(f *testing.F) {
	for _, seed := range []string{`{"a":[{"password":"x"}]}`, `{"private_key":{"inline_string":"KEY"}}`, "[", `{"a":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := redactConfig(text)
		if err != nil {
			return
		}
		require.NotContains(t, string(got.line), "\n")
		again, err := redactConfig(got.line)
		require.NoError(t, err)
		require.Equal(t, string(got.line), string(again.line))
	})
}
