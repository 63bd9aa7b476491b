# Included before llama.cpp's own project: with GGML_CPU_ALL_VARIANTS upstream makes every CPU variant a dependency of
# libggml, so that naming some of them as targets would still compile all of them. Dropping just those dependencies
# lets the plan's list decide. The release profile names them all.
macro(add_dependencies target)
    if(NOT "${ARGN}" MATCHES "^ggml-cpu-")
        _add_dependencies(${target} ${ARGN})
    endif()
endmacro()
