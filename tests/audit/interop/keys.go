package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// key is a verifier of a type that x/mod does not know: it takes any that says how to check.
type key struct {
	name  string
	hash  uint32
	check func(message, signature []byte) bool
}

func (k key) Name() string                          { return k.name }
func (k key) KeyHash() uint32                       { return k.hash }
func (k key) Verify(message, signature []byte) bool { return k.check(message, signature) }

// newVerifier reads a verifier key: Ed25519 by x/mod itself, ECDSA P-256 and cosignatures here.
func newVerifier(vkey string) (note.Verifier, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("not a verifier key: %s", vkey)
	}
	data, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(data) == 0 {
		return nil, fmt.Errorf("not a verifier key: %s", vkey)
	}
	public := data[1:]
	var made key
	switch data[0] {
	case 1:
		return note.NewVerifier(vkey)
	case 2:
		made, err = newECDSA(public)
	case 4:
		made, err = newWitness(parts[0], data)
	default:
		err = fmt.Errorf("keys of type %d are not known", data[0])
	}
	if err != nil {
		return nil, err
	}
	made.name = parts[0]
	if fmt.Sprintf("%08x", made.hash) != parts[1] {
		return nil, fmt.Errorf("the id of the key is another one's: %s", vkey)
	}
	return made, nil
}

func newECDSA(public []byte) (key, error) {
	parsed, err := x509.ParsePKIXPublicKey(public)
	if err != nil {
		return key{}, err
	}
	point, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return key{}, fmt.Errorf("not an ECDSA key")
	}
	digest := sha256.Sum256(public)
	return key{hash: binary.BigEndian.Uint32(digest[:]), check: func(message, signature []byte) bool {
		sum := sha256.Sum256(message)
		return ecdsa.VerifyASN1(point, sum[:], signature)
	}}, nil
}

func newWitness(name string, data []byte) (key, error) {
	if len(data) != 1+ed25519.PublicKeySize {
		return key{}, fmt.Errorf("not the key of a witness")
	}
	digest := sha256.Sum256(bytes.Join([][]byte{[]byte(name), data}, []byte("\n")))
	return key{hash: binary.BigEndian.Uint32(digest[:]), check: func(message, signature []byte) bool {
		if len(signature) != 8+ed25519.SignatureSize {
			return false
		}
		at := binary.BigEndian.Uint64(signature)
		signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", at, message)
		return ed25519.Verify(data[1:], []byte(signed), signature[8:])
	}}, nil
}
