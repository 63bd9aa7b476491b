#!/bin/sh
# Build one component of llama.cpp: the core, or one backend library. The only build logic there is; every engine
# runs this same file, so that every engine gives the same bytes.
#
# In, as folders:  LLAMATRIX_SRC (read-only)  LLAMATRIX_TOOLS (read-only)  LLAMATRIX_RECIPES (read-only)
#                  LLAMATRIX_CACHE  LLAMATRIX_BUILD  LLAMATRIX_OUT
# In, as settings: LLAMATRIX_COMPONENT  LLAMATRIX_TARGET  LLAMATRIX_PROCESSOR  LLAMATRIX_COMMIT  LLAMATRIX_JOBS
#                  LLAMATRIX_LIBRARIES  LLAMATRIX_PROGRAMS  LLAMATRIX_TESTS  LLAMATRIX_LICENCES (space-separated)
#                  LLAMATRIX_OPTIONS (one -DNAME=VALUE a line)  SOURCE_DATE_EPOCH
# Out:             $LLAMATRIX_OUT/bundle  $LLAMATRIX_OUT/tests  $LLAMATRIX_OUT/licenses
set -eu

step() { printf "==> %s\n" "$*"; }

bin="$LLAMATRIX_BUILD/bin"
export PATH="$LLAMATRIX_TOOLS/bin:$PATH"
# zig keeps every compiled object by content: its cache is shared by components, profiles, runs and killed builds.
export ZIG_GLOBAL_CACHE_DIR="$LLAMATRIX_CACHE/zig" ZIG_LOCAL_CACHE_DIR="$LLAMATRIX_CACHE/zig"
# vulkan-shaders-gen is a CMake project of its own that takes its compiler from the environment.
export CC=zig-cc CXX=zig-c++

# zig's libc++ compares exception types by address. Every library here carries its own hidden copy of it, so that an
# exception thrown in one would pass by the handlers of the next ("catch (const std::exception &)" in the server missed
# what libllama-common threw). Comparing by name is libc++'s own setting for that: give zig a view of its library folder
# in which it is on. The rest of the view are links.
mirror() { # FOLDER VIEW NAME: a view of FOLDER in which everything but NAME is a link
    mkdir -p "$2"
    for entry in "$1"/*; do
        [ "${entry##*/}" = "$3" ] || ln -s "$entry" "$2/"
    done
}
zig_lib="$(dirname "$(readlink -f "$LLAMATRIX_TOOLS/bin/zig")")/lib"
view="$LLAMATRIX_BUILD/zig-lib"
mirror "$zig_lib" "$view" libcxx
mirror "$zig_lib/libcxx" "$view/libcxx" include
mirror "$zig_lib/libcxx/include" "$view/libcxx/include" typeinfo
by_address='_LIBCPP_TYPEINFO_COMPARISON_IMPLEMENTATION 1'
by_name='_LIBCPP_TYPEINFO_COMPARISON_IMPLEMENTATION 2'
sed "s/define $by_address/define $by_name/" "$zig_lib/libcxx/include/typeinfo" >"$view/libcxx/include/typeinfo"
if grep -q "define $by_address" "$view/libcxx/include/typeinfo" || ! grep -q "define $by_name" "$view/libcxx/include/typeinfo"; then
    echo "zig's typeinfo header is not the one this script knows; look at its comparison setting" >&2
    exit 1
fi
export ZIG_LIB_DIR="$view"

# Paths of this build must not reach the binaries: engines mount the folders in different places.
flags="-g0 -ffile-prefix-map=$LLAMATRIX_SRC=. -ffile-prefix-map=$LLAMATRIX_BUILD=build"
# Every library carries its own libc++: -Bsymbolic keeps it from using its neighbours' (free() would abort), nodelete keeps a
# backend that ggml closes again (no driver, wrong processor) mapped until its thread-local destructors have run.
link="-Wl,-Bsymbolic -Wl,-z,nodelete"

# git is kept away: what it says about the folder around the source differs from machine to machine, and the commit is
# given. Without this libggml-base.so differed between a host with git and a container without.
step "configure $LLAMATRIX_COMPONENT for $LLAMATRIX_TARGET"
set -- \
    -G Ninja -S "$LLAMATRIX_SRC" -B "$LLAMATRIX_BUILD" \
    -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_C_COMPILER="$LLAMATRIX_TOOLS/bin/zig-cc" -DCMAKE_CXX_COMPILER="$LLAMATRIX_TOOLS/bin/zig-c++" \
    -DCMAKE_AR="$LLAMATRIX_TOOLS/bin/zig-ar" -DCMAKE_RANLIB="$LLAMATRIX_TOOLS/bin/zig-ranlib" \
    -DCMAKE_C_FLAGS="$flags" -DCMAKE_CXX_FLAGS="$flags" \
    -DCMAKE_SHARED_LINKER_FLAGS="$link" -DCMAKE_MODULE_LINKER_FLAGS="$link" -DCMAKE_EXE_LINKER_FLAGS="$link" \
    -DCMAKE_INSTALL_RPATH='$ORIGIN' -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON \
    -DBUILD_SHARED_LIBS=ON -DGGML_BACKEND_DL=ON -DGGML_NATIVE=OFF -DGGML_OPENMP=OFF -DGGML_CCACHE=OFF \
    -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
    -DCMAKE_DISABLE_FIND_PACKAGE_Git=ON -DGIT_EXECUTABLE=OFF -DGIT_EXE=OFF \
    -DLLAMA_BUILD_NUMBER=0 -DLLAMA_BUILD_COMMIT="$LLAMATRIX_COMMIT"
# Naming the system makes CMake cross-compile, which a build for this very machine must not do.
if [ "$(uname -m)" != "$LLAMATRIX_PROCESSOR" ]; then
    set -- "$@" -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$LLAMATRIX_PROCESSOR"
fi
if [ "$LLAMATRIX_COMPONENT" = core ]; then
    set -- "$@" -DLLAMA_BUILD_TESTS=ON -DLLAMA_TESTS_INSTALL=OFF \
        -DCMAKE_PROJECT_TOP_LEVEL_INCLUDES="$LLAMATRIX_RECIPES/build/cpu_variants.cmake"
else
    set -- "$@" -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF
fi
if [ "$LLAMATRIX_COMPONENT" = vulkan ]; then
    # Only Vulkan's own headers: the image's /usr/include would mix its C library with the target's.
    headers="$LLAMATRIX_BUILD/headers"
    mkdir -p "$headers"
    cp -R /usr/include/vulkan /usr/include/vk_video /usr/include/spirv "$headers/"
    set -- "$@" -DVulkan_INCLUDE_DIR="$headers" -DVulkan_LIBRARY="$(echo /usr/lib/*/libvulkan.so)"
    export CPATH="$headers"
fi
IFS='
'
set -f
for option in $LLAMATRIX_OPTIONS; do set -- "$@" "$option"; done
set +f
unset IFS
cmake "$@"

# Ninja takes output files as targets, so that nothing is compiled that the plan does not name.
targets=
for name in $LLAMATRIX_LIBRARIES $LLAMATRIX_PROGRAMS $LLAMATRIX_TESTS; do targets="$targets bin/$name"; done
step "compile"
# shellcheck disable=SC2086  # a list of words
cmake --build "$LLAMATRIX_BUILD" --parallel "$LLAMATRIX_JOBS" --target $targets

step "collect"
mkdir -p "$LLAMATRIX_OUT/bundle" "$LLAMATRIX_OUT/tests" "$LLAMATRIX_OUT/licenses"
for name in $LLAMATRIX_PROGRAMS; do cp -P "$bin/$name" "$LLAMATRIX_OUT/bundle/"; done
for name in $LLAMATRIX_TESTS; do cp -P "$bin/$name" "$LLAMATRIX_OUT/tests/"; done
for name in $LLAMATRIX_LIBRARIES; do
    # The library is a chain of links: libggml.so -> libggml.so.0 -> libggml.so.0.25.3
    file=$name
    while :; do
        cp -P "$bin/$file" "$LLAMATRIX_OUT/bundle/"
        [ -L "$bin/$file" ] || break
        file=$(readlink "$bin/$file")
    done
done
for file in $LLAMATRIX_LICENCES; do cp "$LLAMATRIX_SRC/$file" "$LLAMATRIX_OUT/licenses/"; done
step "done"
