package sidecar

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// configWalker copies a JSON value from dec to enc without its secrets, and sums it up. It holds no tree of it: a
// mesh's configuration has tens of megabytes.
type configWalker struct {
	dec *jsontext.Decoder
	enc *jsontext.Encoder
}

// place is where in the configuration a value stands.
type place struct {
	key    string // plain (see plainKey), of the nearest member that holds the value
	secret bool   // below a member that is secret as a whole
	tls    bool   // in a TLS context or a secret of SDS, where inline data is secret unless it is known not to be
	public bool   // below a member that is public in such a context, as a certificate
}

// below returns the place of what the member key holds.
func (p place) below(key string) place {
	plain := plainKey(key)
	return place{
		key:    plain,
		secret: p.secret || slices.ContainsFunc(secretSuffixes, func(s string) bool { return strings.HasSuffix(plain, s) }),
		tls:    p.tls || slices.Contains(tlsKeys, plain),
		public: p.public || slices.Contains(publicKeys, plain),
	}
}

// hides reports whether a scalar here is a secret.
func (p place) hides() bool {
	if p.secret || p.key == "secret" {
		return true
	}
	return p.tls && !p.public && (p.key == "inlinestring" || p.key == "inlinebytes")
}

// The members by their plain keys. Those with a secret suffix hold nothing but secrets; "secret" alone does not: in a
// dump of SDS it holds a certificate and its name.
var (
	secretSuffixes = []string{
		"privatekey", "password", "passwords", "passwd", "passphrase", "secretaccesskey", "token", "apikey", "secretkey",
		"hmackey", "signingkey", "encryptionkey", "clientsecret", "hmacsecret", "sharedsecret", "tokensecret",
		"sessionticketkeys", "genericsecret", "pkcs12", "authorization",
	}
	tlsKeys = []string{
		"commontlscontext", "tlscertificate", "tlscertificates", "validationcontext", "defaultvalidationcontext",
		"combinedvalidationcontext", "staticsecrets", "dynamicactivesecrets", "dynamicwarmingsecrets", "secrets",
	}
	publicKeys = []string{"certificatechain", "trustedca", "crl", "ocspstaple", "signedcertificatetimestamp"}
)

// noiseKeys differ between two dumps of the same configuration.
var noiseKeys = []string{"lastupdated", "lastupdateattempt", "versioninfo"}

// plainKey writes private_key, private-key and privateKey alike.
func plainKey(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '_' || r == '-':
			return -1
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, key)
}

func (w configWalker) value(at place) (digest, error) {
	switch w.dec.PeekKind() {
	case '{':
		return w.object(at)
	case '[':
		return w.list(at)
	}
	value, err := w.dec.ReadValue()
	if err != nil {
		return digest{}, err
	}
	// The sum is over the secret itself: a new one is a change. It is kept in memory only.
	sum := sha256.Sum256(value)
	if at.hides() && value.Kind() != 'n' {
		return sum, w.enc.WriteToken(jsontext.String(redacted))
	}
	return sum, w.enc.WriteValue(value)
}

func (w configWalker) object(at place) (digest, error) {
	if err := w.copyToken(); err != nil {
		return digest{}, err
	}
	var members [][]byte
	for w.dec.PeekKind() == '"' {
		name, err := w.dec.ReadToken()
		if err != nil {
			return digest{}, err
		}
		key := name.String() // before the next read, which ends the token's life
		if err := w.enc.WriteToken(jsontext.String(key)); err != nil {
			return digest{}, err
		}
		below := at.below(key)
		sum, err := w.value(below)
		if err != nil {
			return digest{}, err
		}
		if !slices.Contains(noiseKeys, below.key) {
			keySum := sha256.Sum256([]byte(key))
			members = append(members, append(keySum[:], sum[:]...))
		}
	}
	slices.SortFunc(members, bytes.Compare)
	return sumOf('{', members), w.copyToken()
}

func (w configWalker) list(at place) (digest, error) {
	if err := w.copyToken(); err != nil {
		return digest{}, err
	}
	var elements [][]byte
	for kind := w.dec.PeekKind(); kind != ']' && kind != jsontext.KindInvalid; kind = w.dec.PeekKind() {
		sum, err := w.value(at)
		if err != nil {
			return digest{}, err
		}
		elements = append(elements, sum[:])
	}
	if strings.HasPrefix(at.key, "dynamic") || strings.HasPrefix(at.key, "static") {
		slices.SortFunc(elements, bytes.Compare) // Envoy keeps these in hash tables
	}
	return sumOf('[', elements), w.copyToken()
}

// copyToken copies a bracket. Where the text is broken, or another token comes, it is the error.
func (w configWalker) copyToken() error {
	token, err := w.dec.ReadToken()
	if err != nil {
		return err
	}
	return w.enc.WriteToken(token)
}

func sumOf(kind byte, parts [][]byte) digest {
	h := sha256.New()
	h.Write([]byte{kind})
	for _, p := range parts {
		h.Write(p)
	}
	return digest(h.Sum(nil))
}
