#include "worker/device/fault.h"

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

namespace ft::device {
namespace {

std::optional<FaultKind> KindOf(const std::exception& error) {
  const std::optional<Fault> fault = FaultOf(error);
  return fault ? std::optional(fault->kind) : std::nullopt;
}

c10::AcceleratorError Code(int code) {
  return {{__func__, __FILE__, __LINE__}, code, "CUDA error: said\nand more"};
}

TEST(FaultTest, CodesAreToldApart) {
  EXPECT_EQ(KindOf(Code(2)), FaultKind::kOutOfMemory);
  for (const int code : {46, 100, 101}) EXPECT_EQ(KindOf(Code(code)), FaultKind::kUnusable) << code;
  for (const int code : {214, 220, 700, 710, 719, 999})
    EXPECT_EQ(KindOf(Code(code)), FaultKind::kFault) << code;
  EXPECT_EQ(FaultOf(Code(700))->message, "CUDA error: said");
}

TEST(FaultTest, WhatLibrariesThrowIsToldByItsText) {
  EXPECT_EQ(KindOf(c10::OutOfMemoryError({__func__, __FILE__, __LINE__}, "CUDA out of memory")),
            FaultKind::kOutOfMemory);
  EXPECT_EQ(KindOf(std::runtime_error("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate")),
            FaultKind::kOutOfMemory);
  EXPECT_EQ(
      KindOf(std::runtime_error("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasGemmEx")),
      FaultKind::kFault);
}

TEST(FaultTest, OtherErrorsAreNoDevices) {
  EXPECT_EQ(KindOf(std::bad_alloc()), std::nullopt);
  EXPECT_EQ(KindOf(std::runtime_error("shapes differ")), std::nullopt);
}

}  // namespace
}  // namespace ft::device
