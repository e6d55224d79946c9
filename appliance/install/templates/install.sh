#!/bin/sh
# Installs Casemate from this folder on Debian 13, without a network.
# Needs: sh, python3, ssh-keygen, sha256sum. Nothing is fetched; nothing is asked of a resolver.
#   sh install.sh [--answers FILE.toml] [--medium OTHER_FOLDER]... [options of casemate install]
# Ends with 0 done, 1 refused, 2 wrong usage, 3 a medium or a chunk is missing or damaged,
# 4 not trusted, 70 a defect.
set -eu
umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
base=/opt/casemate
controller=$base/controller

say() { printf '%s\n' "$*" >&2; }
refuse() { say "$1"; say "$2"; exit "${3:-1}"; }

[ "$(id -u)" = 0 ] || refuse "Lancez cette commande en superutilisateur : sudo sh install.sh" \
  "Run this command as root: sudo sh install.sh"
for tool in python3 ssh-keygen sha256sum; do
  command -v "$tool" >/dev/null 2>&1 || refuse "Il manque le programme $tool." "Missing program: $tool."
done
python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' ||
  refuse "Il faut Python 3.13, celui de Debian 13." "Python 3.13 is needed, that of Debian 13."

# Gives VERIFY.sh the fingerprint and the other media that are meant for the installer.
verify() {
  root='' take='' left=$#
  while [ "$left" -gt 0 ]; do
    word=$1 left=$((left - 1))
    shift
    case $take/$word in
      medium/*) set -- "$@" "$word" && take='' ;;
      root/*) root=$word take='' ;;
      /--medium) take=medium ;;
      /--medium=*) set -- "$@" "${word#*=}" ;;
      /--root-fingerprint) take=root ;;
      /--root-fingerprint=*) root=${word#*=} ;;
    esac
  done
  [ -z "$root" ] || set -- -r "$root" "$@"
  sh "$here/VERIFY.sh" "$@"
}

# Refuses a disk that is too small for the installer, or full: $1 is what it needs, in bytes.
short() {
  need=$(($1 / 1000000 + 1)) left=$(($2 / 1000000))
  refuse "CM-INS-09 Place insuffisante sur $base : il faut $need Mo, $left sont libres.
Libérez de la place sur ce disque ou agrandissez-le (df -h $place, df -i $place), puis relancez la même commande." \
    "CM-INS-09 Not enough room on $base: $need MB are needed, $left are free.
Free some room on that disk or enlarge it (df -h $place, df -i $place), then run the same command again."
}

# Measures the disk of the installer. Unpacked and compiled, its wheels are 3.5 times what they are
# on the medium. What an earlier installer takes is given back. -f: it was full while writing.
room() {
  place=$base
  until [ -d "$place" ]; do place=$(dirname -- "$place"); done
  need=$(du -cb -- "$here"/bootstrap/*.whl | tail -n 1)
  need=$((${need%%[!0-9]*} * 4 + 16000000))
  free=$(df --output=avail -B1 -- "$place" | tail -n 1 | tr -dc 0-9)
  held=$(du -sB1 -- "$controller" 2>/dev/null || echo 0)
  held=${held%%[!0-9]*}
  [ "${1:-}" = -f ] || [ "$((${free:-$need} + held))" -lt "$need" ] || return 0
  short "$need" "$((${free:-0} + held))"
}

# Says why the environment could not be made: $1 is what was said of it.
failed() {
  say "$1"
  case $1 in *'No space left'* | *'quota exceeded'*) room -f ;; esac
  refuse "CM-INS-80 L’installateur n’a pas pu être préparé : la ligne ci-dessus dit pourquoi.
Corrigez ce que la ligne affichée nomme, ou dictez-la, puis relancez." \
    "CM-INS-80 The installer could not be made ready: the line above says why.
Correct what the line that is shown names, or dictate it, then start again."
}

# The environment of the installer. The mark is written last: cut before it, it is made again.
# Before anything of the medium is run, all of it is verified by the system's own tools; later
# starts leave that to the installer, which remembers what it has read.
lock=$here/bootstrap/bootstrap.lock
mark=$controller/.made-from
wanted=$(sha256sum <"$lock") || refuse "Il manque bootstrap/bootstrap.lock." "bootstrap.lock is missing." 3
if [ ! -f "$mark" ] || [ "$(cat "$mark")" != "$wanted" ]; then
  room
  say "Vérification du support… / Verification of the medium…"
  verify "$@" || exit $?
  say "Préparation de l’installateur… / Making the installer ready…"
  pip=
  for found in "$here"/bootstrap/pip-*.whl; do
    [ -z "$pip" ] || refuse "Deux pip dans bootstrap/." "Two pips in bootstrap/."
    pip=$found
  done
  [ -f "$pip" ] || refuse "Il manque pip dans bootstrap/." "pip is missing in bootstrap/." 3
  rm -rf "$controller"
  said=$(
    exec 2>&1
    mkdir -p "$base" &&
    env -i PATH="$PATH" LC_ALL=C.UTF-8 python3 -I -m venv --without-pip "$controller" &&
    env -i PATH="$PATH" LC_ALL=C.UTF-8 HOME="$controller" PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 \
      "$controller/bin/python" "$pip/pip" --disable-pip-version-check --no-cache-dir --quiet install \
      --no-index --no-deps --require-hashes --only-binary=:all: --find-links "$here/bootstrap" \
      --requirement "$lock" &&
    sync && printf '%s\n' "$wanted" >"$mark"
  ) || failed "$said"
fi

# -I: nothing of the folder that one stands in, nor of the environment, is imported.
exec env -i PATH="$PATH" LC_ALL=C.UTF-8 LANG=C.UTF-8 TERM="${TERM:-dumb}" HOME=/nonexistent \
  "$controller/bin/python" -I -m appliance.cli install --medium "$here" "$@"
