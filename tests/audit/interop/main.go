// Command interop judges a log of ours with Go's own packages, golang.org/x/mod/sumdb/{note,tlog}.
//
// It reads from standard input what to judge, and ends with 0 only when all of it holds.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8 // of a tile: 256 hashes

// Question is what to judge.
type Question struct {
	Dir         string        // folder of the log
	Keys        []string      // verifier keys; each has to have signed each checkpoint
	Notes       [][]byte      // signed checkpoints, judged one by one when there is no folder
	Proofs      []string      // tlog-proof files, each of the record that its index names
	Consistency []Consistency // trees of which the log is a continuation
}

// Consistency is an earlier tree and our proof that it is a prefix.
type Consistency struct {
	Size int64
	Root string
	Path []string
}

// tree is a checkpoint: as many records, under this root.
type tree struct {
	size int64
	root tlog.Hash
}

func main() {
	if err := judge(); err != nil {
		fmt.Println("REFUSED:", err)
		os.Exit(1)
	}
	fmt.Println("ACCEPTED")
}

func judge() error {
	var question Question
	if err := json.NewDecoder(os.Stdin).Decode(&question); err != nil {
		return err
	}
	if question.Dir == "" {
		return judgeNotes(question)
	}
	message, err := os.ReadFile(filepath.Join(question.Dir, "checkpoint"))
	if err != nil {
		return err
	}
	head, err := open(message, question.Keys)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := checkRecords(question.Dir, head); err != nil {
		return err
	}
	for _, file := range question.Proofs {
		if err := checkProof(question.Dir, file, question.Keys, head); err != nil {
			return fmt.Errorf("proof %s: %w", filepath.Base(file), err)
		}
	}
	for _, earlier := range question.Consistency {
		if err := checkConsistency(earlier, head); err != nil {
			return fmt.Errorf("consistency with %d: %w", earlier.Size, err)
		}
	}
	return nil
}

// judgeNotes prints one line for each note: accepted, or why not.
func judgeNotes(question Question) error {
	for _, message := range question.Notes {
		if _, err := open(message, question.Keys); err != nil {
			fmt.Println("refused:", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("accepted")
		}
	}
	return nil
}

// open verifies a checkpoint; its origin is the name of the first key. Each key has signed it.
func open(message []byte, keys []string) (tree, error) {
	var verifiers []note.Verifier
	for _, text := range keys {
		verifier, err := newVerifier(text)
		if err != nil {
			return tree{}, err
		}
		verifiers = append(verifiers, verifier)
	}
	opened, err := note.Open(message, note.VerifierList(verifiers...))
	if err != nil {
		return tree{}, err
	}
	signed := map[uint32]bool{}
	for _, signature := range opened.Sigs {
		signed[signature.Hash] = true
	}
	if len(signed) != len(verifiers) {
		return tree{}, fmt.Errorf("%d keys signed, not %d", len(signed), len(verifiers))
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifiers[0].Name() || lines[3] != "" {
		return tree{}, fmt.Errorf("not a checkpoint of %s", verifiers[0].Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tree{size, root}, err
}

// files reads tiles as C2SP lays them out: without the height in the path.
type files string

func (dir files) Height() int                     { return height }
func (dir files) SaveTiles([]tlog.Tile, [][]byte) {}
func (dir files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(string(dir), path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// checkRecords checks each record against its tile, and some of them up to the root.
func checkRecords(dir string, head tree) error {
	reader := tlog.TileHashReader(tlog.Tree{N: head.size, Hash: head.root}, files(dir))
	for first := int64(0); first < head.size; first += 256 {
		entries, err := bundle(dir, first, head.size)
		if err != nil {
			return err
		}
		var places []int64
		for i := range entries {
			places = append(places, tlog.StoredHashIndex(0, first+int64(i)))
		}
		hashes, err := reader.ReadHashes(places)
		if err != nil {
			return fmt.Errorf("tiles of record %d: %w", first, err)
		}
		for i, entry := range entries {
			if tlog.RecordHash(entry) != hashes[i] {
				return fmt.Errorf("record %d is not the one in the tree", first+int64(i))
			}
		}
	}
	for _, n := range []int64{0, head.size / 2, head.size - 1} {
		entry, err := record(dir, n, head.size)
		if err != nil {
			return err
		}
		proof, err := tlog.ProveRecord(head.size, n, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, head.size, head.root, n, tlog.RecordHash(entry)); err != nil {
			return fmt.Errorf("record %d: %w", n, err)
		}
	}
	return nil
}

// bundle returns the entries from first, a multiple of 256, on.
func bundle(dir string, first, size int64) ([][]byte, error) {
	width := size - first
	if width > 256 {
		width = 256
	}
	tile := tlog.Tile{H: height, L: 0, N: first / 256, W: int(width)}
	path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
	data, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		return nil, err
	}
	var entries [][]byte
	for len(data) >= 2 {
		end := 2 + int(binary.BigEndian.Uint16(data))
		if end > len(data) {
			break
		}
		entries = append(entries, data[2:end])
		data = data[end:]
	}
	if len(data) != 0 || len(entries) != int(width) {
		return nil, fmt.Errorf("%s: %d entries, %d bytes left", path, len(entries), len(data))
	}
	return entries, nil
}

func record(dir string, n, size int64) ([]byte, error) {
	entries, err := bundle(dir, n-n%256, size)
	if err != nil {
		return nil, err
	}
	return entries[n%256], nil
}

// checkProof checks a file of ours: header, index, path, empty line, checkpoint.
func checkProof(dir, file string, keys []string, head tree) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	parts := bytes.SplitN(data, []byte("\n\n"), 2)
	lines := strings.Split(string(parts[0]), "\n")
	if len(parts) != 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return fmt.Errorf("not a tlog-proof")
	}
	lines = lines[1:]
	if strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64)
	if err != nil {
		return err
	}
	var path tlog.RecordProof
	for _, line := range lines[1:] {
		sibling, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		path = append(path, sibling)
	}
	signed, err := open(parts[1], keys)
	if err != nil {
		return err
	}
	if n < 0 || n >= head.size {
		return fmt.Errorf("record %d is not in the log", n)
	}
	entry, err := record(dir, n, head.size)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(path, signed.size, signed.root, n, tlog.RecordHash(entry))
}

func checkConsistency(earlier Consistency, head tree) error {
	root, err := tlog.ParseHash(earlier.Root)
	if err != nil {
		return err
	}
	var path tlog.TreeProof
	for _, line := range earlier.Path {
		data, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(data) != tlog.HashSize {
			return fmt.Errorf("not a hash: %s", line)
		}
		path = append(path, tlog.Hash(*(*[tlog.HashSize]byte)(data)))
	}
	return tlog.CheckTree(path, head.size, head.root, earlier.Size, root)
}
