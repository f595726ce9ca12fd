package mysqltest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// WithTLS gives the server a certificate for these names and addresses (if none are given: 127.0.0.1, ::1 and localhost), signed by a CA
// of the tests that all servers share, see [Server.CAFile]. Clients may still come without TLS; WithArgs("--require-secure-transport=ON") ends that.
func WithTLS(names ...string) Option {
	if len(names) == 0 {
		names = []string{"127.0.0.1", "::1", "localhost"}
	}
	return func(o *options) { o.names = names }
}

// WithoutTLS gives the server no TLS. Newer ones have some where nothing is said.
func WithoutTLS() Option {
	return func(o *options) { o.plain = true }
}

// plainArguments are the options for that.
func (s *server) plainArguments() []string {
	switch {
	case !s.options.plain:
		return nil
	case s.home.program.maria:
		return []string{"--skip-ssl"}
	default:
		return []string{"--tls-version="}
	}
}

// CAFile is the path of the certificate by which those of all servers that were made with [WithTLS] are verified.
func (s *server) CAFile() string { return s.path("ca.pem") }

// OtherCA makes a file with the certificate of a CA that signed nobody's.
func OtherCA(t testing.TB) string {
	t.Helper()
	a, err := newAuthority()
	file := filepath.Join(t.TempDir(), "other.pem")
	if err == nil {
		err = os.WriteFile(file, a.pem, 0o600)
	}
	if err != nil {
		t.Fatalf("make a CA: %v", err)
	}
	return file
}

// authority is a CA.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pem         []byte
}

// ca is that of this process of tests.
var ca = sync.OnceValues(newAuthority)

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA of the tests " + rand.Text()[:6]},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{key: key, certificate: certificate, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// certify makes the files of a server with TLS.
func (s *server) certify() error {
	if len(s.options.names) == 0 {
		return nil
	}
	a, err := ca()
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "server of the tests"},
		NotBefore: a.certificate.NotBefore, NotAfter: a.certificate.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range s.options.names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		s.CAFile():         a.pem,
		s.path("cert.pem"): pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		s.path("key.pem"):  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		mode := os.FileMode(0o644) // certificates are for all
		if name == s.path("key.pem") {
			mode = 0o600
		}
		if err := os.WriteFile(name, data, mode); err != nil {
			return err
		}
		if err := s.home.id.Own(name); err != nil {
			return err
		}
	}
	s.special = append(s.special, "--ssl-ca="+s.CAFile(), "--ssl-cert="+s.path("cert.pem"), "--ssl-key="+s.path("key.pem"))
	return nil
}
