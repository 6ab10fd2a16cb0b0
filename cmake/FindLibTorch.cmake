# LibTorch as it lies in the PyPI wheel, by name. Torch's own CMake package is not used: it redefines
# protobuf::libprotobuf and insists on a CUDA toolkit (docs/decisions/0001-libtorch-from-the-wheel.md).
#
# Gives: LibTorch::cpu (headers, libtorch_cpu, libc10), LibTorch::cuda (adds libtorch_cuda, libc10_cuda, NCCL).
file(GLOB _ft_site ${PROJECT_SOURCE_DIR}/.deps/venv/lib/python3*/site-packages)
set(LIBTORCH_SITE "${_ft_site}" CACHE PATH "site-packages folder that holds torch/ and nvidia/")
set(_torch ${LIBTORCH_SITE}/torch)
find_library(LIBTORCH_CPU torch_cpu PATHS ${_torch}/lib NO_DEFAULT_PATH)
find_library(LIBTORCH_C10 c10 PATHS ${_torch}/lib NO_DEFAULT_PATH)
set(LIBTORCH_OPENMP ${_torch}/lib/libgomp.so.1)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch REQUIRED_VARS LIBTORCH_CPU LIBTORCH_C10 LIBTORCH_OPENMP)

file(GLOB _nvidia_libs ${LIBTORCH_SITE}/nvidia/*/lib)
set(_rpath_link "")
foreach(dir ${_nvidia_libs})
  list(APPEND _rpath_link "-Wl,-rpath-link,${dir}")
endforeach()

add_library(LibTorch::cpu INTERFACE IMPORTED)
target_include_directories(LibTorch::cpu SYSTEM INTERFACE
  ${_torch}/include ${_torch}/include/torch/csrc/api/include)
target_compile_definitions(LibTorch::cpu INTERFACE USE_C10D_GLOO USE_DISTRIBUTED)
# at::parallel_for is a template that runs on one thread, in silence, in code compiled without OpenMP. The runtime is
# the wheel's own, so that there is one pool of threads.
target_compile_options(LibTorch::cpu INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
target_link_libraries(LibTorch::cpu INTERFACE ${LIBTORCH_CPU} ${LIBTORCH_C10} ${LIBTORCH_OPENMP})
target_link_options(LibTorch::cpu INTERFACE ${_rpath_link} "-Wl,--allow-shlib-undefined")
set(LIBTORCH_RPATH "${_torch}/lib;${_nvidia_libs}")

find_library(LIBTORCH_CUDA torch_cuda PATHS ${_torch}/lib NO_DEFAULT_PATH)
if(LIBTORCH_CUDA)
  file(GLOB _nvidia_includes ${LIBTORCH_SITE}/nvidia/*/include)
  add_library(LibTorch::cuda INTERFACE IMPORTED)
  target_include_directories(LibTorch::cuda SYSTEM INTERFACE ${_nvidia_includes})
  target_compile_definitions(LibTorch::cuda INTERFACE USE_C10D_NCCL)
  target_link_libraries(LibTorch::cuda INTERFACE
    LibTorch::cpu ${LIBTORCH_CUDA} ${_torch}/lib/libc10_cuda.so
    ${LIBTORCH_SITE}/nvidia/nccl/lib/libnccl.so.2)
endif()
