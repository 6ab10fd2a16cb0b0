// Linked into programs of tests as an object, never into ft-rank: FT_CUDA_LIBRARY names the library that is opened instead of libft_cuda.so
// (worker/train/cuda/cuda_library.cc asks for this function where it is there).
#include <cstdlib>

extern "C" const char* FtChosenCudaLibrary() { return std::getenv("FT_CUDA_LIBRARY"); }
