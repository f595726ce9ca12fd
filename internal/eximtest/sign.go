package eximtest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// signKey is the key of all signatures, and its record in the DNS.
var signKey = sync.OnceValues(func() (*rsa.PrivateKey, string) {
	key, err := rsa.GenerateKey(rand.Reader, 1024) // a record of one string, and the least that Exim takes
	if err != nil {
		panic(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err)
	}
	return key, "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public)
})

// KeyRecord is the DNS record, as dnstest takes it, of the key with which [Sign] signs
// for a domain.
func KeyRecord(domain string) string {
	_, record := signKey()
	return fmt.Sprintf("sel._domainkey.%s TXT %q", domain, record)
}

var blanks = regexp.MustCompile(`[ \t\r\n]+`)

// relaxed is a header field as the relaxed canonicalization has it (RFC 6376, 3.4.2).
func relaxed(field string) string {
	name, value, _ := strings.Cut(field, ":")
	return strings.ToLower(strings.TrimSpace(name)) + ":" + strings.TrimSpace(blanks.ReplaceAllString(value, " "))
}

// Sign puts a DKIM signature (RFC 6376; rsa-sha256, relaxed/simple) with these tags
// ("d=example.com") before a message with LF. One that is told to be bad has another hash
// of the body.
func Sign(message, tags string, bad bool) string {
	header, body, _ := strings.Cut(message, "\n\n")
	body = strings.TrimRight(strings.ReplaceAll(body, "\n", "\r\n"), "\r\n") + "\r\n"
	if bad {
		body += "more\r\n"
	}
	hash := sha256.Sum256([]byte(body))
	field := "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; s=sel; h=from:subject; " + tags + "; bh=" +
		base64.StdEncoding.EncodeToString(hash[:]) + "; b="
	var in bytes.Buffer
	for _, name := range []string{"from", "subject"} {
		for line := range strings.Lines(header + "\n") {
			if strings.HasPrefix(strings.ToLower(line), name+":") {
				in.WriteString(relaxed(line) + "\r\n")
			}
		}
	}
	in.WriteString(relaxed(field))
	key, _ := signKey()
	sum := sha256.Sum256(in.Bytes())
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err) // of the key's own size: it cannot be
	}
	return field + base64.StdEncoding.EncodeToString(signature) + "\n" + message
}
