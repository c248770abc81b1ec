#!/bin/sh
# Builds dist/hvd_VERSION+debNNuN_ARCH.deb for Debian NN: `deploy/debian/build.sh [ROOT]`.
# ROOT is the root folder of a Debian that has what control calls Build-Depends (debootstrap makes one); it isn't changed,
# and that needs root. Without it the package is for this machine's own Debian.
# Variables: REVISION, of the package (1); DIST, the folder for it (dist); WHEELS, a folder with what hvd needs, or else the
# index is asked; DPKG_DEB_COMPRESSOR_TYPE and DPKG_DEB_COMPRESSOR_LEVEL, of dpkg-deb(1): xz takes most of a build's time.
set -eu
root="${1:-}"
cd "$(dirname "$0")/../.."
dist="${DIST:-dist}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
tree="$folder/hvd"
mkdir "$tree"
cp -R hvd deploy setup.py setup.cfg pyproject.toml MANIFEST.in README.md LICENSE "$tree"
find "$tree" \( -name __pycache__ -o -name '*.so' \) -prune -exec rm -r {} +
mv "$tree/deploy/debian" "$tree/debian"

release="$(sed -n 's/^VERSION_ID="\(.*\)"$/\1/p' "$root/etc/os-release")"
version="$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' hvd/__init__.py)"
python="$(basename "$(readlink -f "$root/usr/bin/python3")" | sed 's/^python//')"
cat >"$tree/debian/changelog" <<END
hvd ($version+deb${release}u${REVISION:-1}) stable; urgency=medium

  * Version $version: see CHANGELOG.md of the sources.

 -- The hvd developers <hvd@hvd.invalid>  $(date -R)
END

if [ -n "${WHEELS:-}" ]; then
    cp -R "$WHEELS" "$tree/vendor"
else
    sed -n '/^install_requires =/,/^$/s/^ \+//p' setup.cfg >"$folder/needed"
    python3 -m pip download --quiet --python-version "$python" --only-binary :all: --dest "$tree/vendor" \
        --requirement "$folder/needed" psycopg setuptools
fi

# -I: of build-essential the C compiler is enough.
build="dpkg-checkbuilddeps -I && dpkg-buildpackage --build=binary --no-sign --no-check-builddeps"
if [ -z "$root" ]; then
    (cd "$tree" && eval "$build")
else
    unshare --mount --net --propagation private sh -ec '
        mount -t tmpfs tmpfs /mnt
        mkdir /mnt/upper /mnt/work /mnt/root
        mount -t overlay overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
        mount --rbind /dev /mnt/root/dev
        mkdir /mnt/root/build
        mount --bind "$2" /mnt/root/build
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEB_BUILD_OPTIONS="$4" \
            ${5:+DPKG_DEB_COMPRESSOR_TYPE="$5"} ${6:+DPKG_DEB_COMPRESSOR_LEVEL="$6"} chroot /mnt/root sh -c "cd /build/hvd && $3"
    ' sh "$(readlink -f "$root")" "$folder" "$build" "${DEB_BUILD_OPTIONS:-}" "${DPKG_DEB_COMPRESSOR_TYPE:-}" \
        "${DPKG_DEB_COMPRESSOR_LEVEL:-}"
fi
mkdir -p "$dist"
mv "$folder"/*.deb "$dist"
