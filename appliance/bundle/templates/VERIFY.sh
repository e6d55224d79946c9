#!/bin/sh
# Vérifie une livraison Casemate avec des outils de tout système : sh, ssh-keygen, coreutils.
# Verifies a Casemate bundle with the tools of any system: sh, ssh-keygen, coreutils.
#
#   sh VERIFY.sh [-r EMPREINTE] [-n NUMERO] [AUTRE_SUPPORT…]
#     -r  empreinte de la racine, lue sur la fiche    fingerprint of the root, from the sheet
#     -n  numéro de la dernière livraison reçue       number of the last release received
#     AUTRE_SUPPORT  dossier d’un autre support       folder of another medium
#
# Codes : 0 bon, 1 refusé, 2 usage, 3 support ou morceau absent ou abîmé, 4 pas de confiance.
# Codes : 0 good, 1 refused, 2 usage, 3 medium or chunk missing or damaged, 4 not trusted.
set -u
LC_ALL=C
export LC_ALL
umask 077

say() { printf '%s\n%s\n' "$1" "$2"; }
stop() { # CODE FRANCAIS ENGLISH
    printf '%s\n%s\n' "REFUS : $2" "REFUSED: $3" >&2
    exit "$1"
}
usage() { stop 2 "usage : sh VERIFY.sh [-r EMPREINTE] [-n NUMERO] [AUTRE_SUPPORT…]" \
    "usage: sh VERIFY.sh [-r FINGERPRINT] [-n NUMBER] [OTHER_MEDIUM…]"; }

expected='' last=0
while getopts r:n: option; do
    case $option in
    r) expected=$(printf '%s' "$OPTARG" | tr -d ' :' | tr 'A-F' 'a-f') ;;
    n) last=$OPTARG ;;
    *) usage ;;
    esac
done
shift $((OPTIND - 1))
case $last in '' | *[!0-9]*) usage ;; esac

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 70
work=$(mktemp -d) || exit 70
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM

digest_of() { # FILE: prints its SHA-256
    sum=$(sha256sum < "$1") || return 1
    printf '%s' "${sum%% *}"
}

for name in manifest.json root.json SHA256SUMS medium.json; do
    [ -f "$here/$name" ] || stop 3 "fichier absent : $here/$name" "file missing: $here/$name"
done

# ---- Horloge / clock. The manifest is JSON in one form: fields are found without a JSON tool.
# A quote inside a text is written \" there, so no text can pass for a field.
number_of() { # FIELD: prints the number of a field outside the components
    tr ',{' '\n\n' < "$here/manifest.json" | while IFS= read -r line; do
        case $line in "\"$1\":"[0-9]*) printf '%s\n' "${line#*:}" ;; esac
    done | tail -n 1
}
created=$(number_of created)
seq=$(number_of release_seq)
case $created:$seq in
*[!0-9:]* | :* | *:) stop 4 'manifest.json est illisible : mal copié ou modifié' \
    'manifest.json cannot be read: badly copied or modified' ;;
esac
[ "$(date +%s)" -ge "$created" ] || stop 1 \
    "l’horloge de cette machine retarde sur la date de la livraison : réglez-la" \
    'the clock of this machine is behind the date of the release: set it'

# ---- Racine de confiance / root of trust
root=$(cat "$here/root.json")
fingerprint=$(digest_of "$here/root.json") || exit 70
say "Racine (à comparer avec la fiche) / root (compare with the sheet):" "  $(
    printf '%s' "$fingerprint" | fold -w 4 | tr '\n' ' ')"
[ -z "$expected" ] || [ "$expected" = "$fingerprint" ] || stop 4 \
    'cette racine n’est pas celle de la fiche : livraison d’un autre éditeur' \
    'this root is not the one of the sheet: bundle of another publisher'

signed() { # ROLE NAMESPACE FILE: do enough keys of the role sign the file?
    part=${root#*"\"$1\":{\"keys\":["}
    ids=${part%%]*}
    part=${part#*"\"threshold\":"}
    threshold=${part%%\}*}
    case $threshold in '' | 0 | *[!0-9]*) return 1 ;; esac
    count=0
    for id in $(printf '%s' "$ids" | tr -d '"' | tr ',' ' '); do
        case $id in *[!a-z0-9-]*) return 1 ;; esac
        key=${root#*"\"$id\":\"ssh-ed25519 "}
        printf 'vendor ssh-ed25519 %s\n' "${key%%\"*}" > "$work/allowed"
        for signature in "$3".sig "$3".sig.*; do
            [ -f "$signature" ] || continue
            if ssh-keygen -Y verify -f "$work/allowed" -I vendor -n "$2" -s "$signature" \
                < "$3" > /dev/null 2>&1; then
                count=$((count + 1))
                break
            fi
        done
    done
    [ "$count" -ge "$threshold" ]
}
signed root root@casemate "$here/root.json" || stop 4 \
    'root.json n’est pas signé par ses propres clés' 'root.json is not signed by its own keys'

# ---- Signature du manifeste / signature of the manifest
signed release bundle@casemate "$here/manifest.json" || stop 4 \
    'le manifeste n’est pas signé par assez de clés : modifié, mal copié, ou d’un autre éditeur' \
    'the manifest is not signed by enough keys: modified, badly copied, or of another publisher'
[ "$seq" -ge "$last" ] || stop 4 \
    "la livraison n° $seq est plus ancienne que la n° $last, déjà reçue" \
    "release $seq is older than release $last, already received"
manifest=$(digest_of "$here/manifest.json") || exit 70

# ---- La liste signée / the signed list: the manifest holds the SHA-256 of SHA256SUMS
end=$(tail -c 500 "$here/manifest.json")
sums=${end##*'"sums":"'}
sums=${sums%%\"*}
[ "$sums" = "$(digest_of "$here/SHA256SUMS")" ] || stop 3 \
    'SHA256SUMS n’est pas celui du manifeste : recopiez-le' \
    'SHA256SUMS is not the one of the manifest: copy it again'
cut -c 67- "$here/SHA256SUMS" | sort > "$work/listed"

# ---- Supports / media
medium=$(cat "$here/medium.json")
shares=${medium#*'"media":[['}
printf '%s\n' "${shares%%]]*}" | tr '[' '\n' > "$work/shares"
total=0
while IFS= read -r _; do total=$((total + 1)); done < "$work/shares"

label() { # PATH: prints the medium where a chunk should be, such as 2/3
    number=0
    while IFS= read -r share; do
        number=$((number + 1))
        case $share in *"\"${1##*/}\""*) printf '%s' "$number/$total" && return ;; esac
    done < "$work/shares"
    printf '?'
}

: > "$work/found"
: > "$work/bad"
: > "$work/extra"
: > "$work/numbers"
for folder in "$here" "$@"; do
    for name in manifest.json SHA256SUMS medium.json; do
        [ -f "$folder/$name" ] || stop 3 "fichier absent : $folder/$name" \
            "file missing: $folder/$name"
    done
    text=$(cat "$folder/medium.json")
    number=${text#*'"number":'}
    number=${number%%,*}
    bundle=${text#*'"bundle":"'}
    [ "${bundle%%\"*}" = "$manifest" ] && [ "$(digest_of "$folder/manifest.json")" = "$manifest" ] ||
        stop 1 "support $number ($folder) d’une autre livraison" \
            "medium $number ($folder) of another release"
    printf '%s\n' "$number" >> "$work/numbers"
    : > "$work/odd"
    say "Lecture du support $number/$total…" "Reading medium $number/$total…"
    # Names with a newline cannot be listed: they show as unexpected.
    (cd -- "$folder" && du -a -l -0 . | tr '\n\000' '?\n' | cut -f 2- | cut -c 3-) |
        while IFS= read -r path; do
            if [ -L "$folder/$path" ]; then
                printf '%s\n' "$path" >> "$work/odd"
            elif [ -f "$folder/$path" ]; then
                printf '%s\n' "$path"
            elif [ -n "$path" ] && [ ! -d "$folder/$path" ]; then
                printf '%s\n' "$path" >> "$work/odd" # a pipe, a device, a name with a newline
            fi
        done | sort > "$work/here"
    sort -o "$work/odd" "$work/odd"
    cat "$work/here" >> "$work/found"
    sort "$work/here" "$work/odd" | comm -13 "$work/listed" - | while IFS= read -r path; do
        case $path in
        manifest.json | manifest.json.sig* | SHA256SUMS | medium.json) ;;
        root.json | root.json.sig* | root.[0-9]*.json | root.[0-9]*.json.sig*) ;;
        *) printf '%s\n' "$folder/$path" >> "$work/extra" ;;
        esac
    done
    comm -23 "$work/listed" "$work/here" | while IFS= read -r path; do
        case $path in
        chunks/*) ;; # maybe on another medium
        *) printf '%s\n' "$number/$total $path absent (missing)" >> "$work/bad" ;;
        esac
    done
    # Reading a pipe would wait for ever: what is no plain file is missing, and named above.
    [ -z "$(comm -12 "$work/listed" "$work/odd")" ] || continue
    (cd -- "$folder" && sha256sum --check --strict --quiet --ignore-missing "$here/SHA256SUMS") \
        2> /dev/null | while IFS= read -r line; do
        case $line in
        *': FAILED'*) printf '%s\n' \
            "$number/$total ${line%: FAILED*} modifié, tronqué ou illisible (modified, cut or unreadable)" \
            >> "$work/bad" ;;
        esac
    done
done

# ---- Verdict
sort -u "$work/found" > "$work/all"
comm -23 "$work/listed" "$work/all" | while IFS= read -r path; do
    case $path in
    chunks/*) printf '%s\n' "$(label "$path") $path absent (missing)" >> "$work/bad" ;;
    esac
done
if [ -s "$work/bad" ]; then
    number=0
    while [ "$number" -lt "$total" ]; do
        number=$((number + 1))
        present=non
        while IFS= read -r given; do [ "$given" != "$number" ] || present=oui; done \
            < "$work/numbers"
        [ "$present" = oui ] || say "Support non présenté : $number/$total" \
            "Medium not given: $number/$total" >&2
    done
    while IFS= read -r line; do printf '%s\n' "Support / medium $line"; done < "$work/bad" >&2
    stop 3 'recopiez ce qui est nommé ci-dessus, puis recommencez' \
        'copy again what is named above, then start again'
fi
if [ -s "$work/extra" ]; then
    cat "$work/extra" >&2
    stop 1 'des fichiers que la livraison ne contient pas, nommés ci-dessus : retirez-les' \
        'files that the release does not contain, named above: remove them'
fi
say "BON : livraison n° $seq, complète et signée. Manifeste : $manifest" \
    "GOOD: release $seq, complete and signed. Manifest: $manifest"
[ -n "$expected" ] || say 'Comparez l’empreinte de la racine avec la fiche : elle seule prouve l’éditeur.' \
    'Compare the fingerprint of the root with the sheet: it alone proves the publisher.'
