// A library with NVML's names: one whole card, and one in MIG mode with two slices.
#include <cstring>

extern "C" {

struct Memory {
  unsigned long long total, free, used;
};

// Handles: 1 and 2 are cards, 21 and 22 are slices of the second.
static void* Handle(long number) { return reinterpret_cast<void*>(number); }
static long Number(void* handle) { return reinterpret_cast<long>(handle); }

int nvmlInit_v2() { return 0; }
int nvmlShutdown() { return 0; }
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = Handle(index + 1);
  return 0;
}
int nvmlDeviceGetUUID(void* device, char* uuid, unsigned length) {
  const char* names[] = {"GPU-1", "GPU-2", "MIG-21", "MIG-22"};
  const long number = Number(device);
  std::strncpy(uuid, names[number < 10 ? number - 1 : number - 19], length);
  return 0;
}
int nvmlDeviceGetName(void*, char* name, unsigned length) {
  std::strncpy(name, "Fake A100", length);
  return 0;
}
int nvmlDeviceGetMemoryInfo(void* device, Memory* memory) {
  const bool slice = Number(device) > 10;
  *memory = {slice ? 10ull << 30 : 40ull << 30, slice ? 9ull << 30 : 39ull << 30, 1ull << 30};
  return 0;
}
struct Utilization {
  unsigned gpu, memory;
};
int nvmlDeviceGetUtilizationRates(void* device, Utilization* utilization) {
  *utilization = {Number(device) == 1 ? 87u : 0u, 40};
  return 0;
}
int nvmlDeviceGetTemperature(void*, int, unsigned* celsius) {
  *celsius = 61;
  return 0;
}
int nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) {
  *milliwatts = 254500;
  return 0;
}
int nvmlDeviceGetTotalEccErrors(void* device, int kind, int since, unsigned long long* errors) {
  if (Number(device) == 2) return 3;  // NVML_ERROR_NOT_SUPPORTED
  *errors = kind == 1 && since == 0 ? 2 : 1000;
  return 0;
}
int nvmlDeviceGetCudaComputeCapability(void*, int* major, int* minor) {
  *major = 8;
  *minor = 0;
  return 0;
}
int nvmlDeviceGetMaxMigDeviceCount(void* device, unsigned* count) {
  *count = Number(device) == 2 ? 7 : 0;
  return 0;
}
int nvmlDeviceGetMigDeviceHandleByIndex(void*, unsigned index, void** device) {
  if (index > 1) return 6;  // NVML_ERROR_NOT_FOUND
  *device = Handle(21 + index);
  return 0;
}
}
