# CUDA device code, compiled by the nvcc of the wheels in .deps/venv (cmake/cuda.lock), without CMake's CUDA language: that
# wants a whole toolkit. Where the wheels have no nvcc (another architecture), libft_cuda.so is not built.
#
#   ft_cuda_library(kernels_nf4_cuda FILES nf4_cuda.cu)   a static library of device code and launchers
find_program(FT_NVCC nvcc PATHS ${LIBTORCH_SITE}/nvidia/cu13/bin NO_DEFAULT_PATH)
if(NOT FT_NVCC)
  message(STATUS "no nvcc in ${LIBTORCH_SITE}/nvidia/cu13/bin: libft_cuda.so is not built")
endif()

# What the wheel of LibTorch is built for, and PTX for what comes later. No bf16 arithmetic on 75: kernels compute in float32.
set(FT_CUDA_ARCHITECTURES
  -gencode arch=compute_75,code=sm_75 -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90
  -gencode arch=compute_100,code=sm_100 -gencode arch=compute_120,code=[sm_120,compute_120])

function(ft_cuda_library name)
  cmake_parse_arguments(ARG "" "" "FILES" ${ARGN})
  set(objects "")
  foreach(file ${ARG_FILES})
    get_filename_component(source ${file} ABSOLUTE)
    get_filename_component(stem ${file} NAME_WE)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${stem}.cu.o)
    # Without fused multiply-add, so that results are the bits of the host's definitions.
    add_custom_command(OUTPUT ${object} BYPRODUCTS ${object}.ptxas
      COMMAND ${PROJECT_SOURCE_DIR}/cmake/nvcc.sh ${object}.ptxas ${FT_NVCC} -std=c++20 -O3 -fmad=false --expt-relaxed-constexpr ${FT_CUDA_ARCHITECTURES}
              -ccbin ${CMAKE_CXX_COMPILER} -Xcompiler -fPIC -I${PROJECT_SOURCE_DIR} -MD -MF ${object}.d
              -c ${source} -o ${object}
      DEPENDS ${source} ${PROJECT_SOURCE_DIR}/cmake/nvcc.sh DEPFILE ${object}.d VERBATIM
      COMMENT "Compiling device code of ${file}")
    list(APPEND objects ${object})
  endforeach()
  add_library(${name} STATIC ${objects})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
endfunction()
