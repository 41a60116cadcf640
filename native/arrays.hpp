// What Python hands over: any object with the buffer protocol. Kernels see pointers, shapes and strides.
#pragma once

#include <nanobind/nanobind.h>

#include <algorithm>
#include <exception>
#include <new>

#include "layout.hpp"
#include "threads.hpp"

namespace softclass {

namespace nb = nanobind;

inline void require(bool holds, const char* rule) {
  if (!holds) throw nb::value_error(rule);
}

// An array that is held as long as this object lives. Floating-point numbers, bool and int64 in native byte order;
// uint16 is the bit patterns of bfloat16.
class Array {
 public:
  enum Access { read, write };
  Array(nb::handle object, Access access) {
    const int flags = PyBUF_STRIDES | PyBUF_FORMAT | (access == write ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object.ptr(), &buffer_, flags) != 0) throw nb::python_error();
    if (!parse(buffer_.format) || buffer_.itemsize != size_of(element_)) {
      PyBuffer_Release(&buffer_);
      throw nb::type_error("arrays must be float16, uint16 (bfloat16), float32, float64, bool or int64");
    }
  }
  ~Array() { PyBuffer_Release(&buffer_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  Element element() const { return element_; }
  bool is_float() const { return element_ != Element::boolean && element_ != Element::int64; }
  int rank() const { return buffer_.ndim; }
  const Py_ssize_t* shape() const { return buffer_.shape; }
  const Py_ssize_t* strides() const { return buffer_.strides; }  // bytes
  char* data() const { return static_cast<char*>(buffer_.buf); }
  int64_t size() const {
    int64_t product = 1;
    for (int a = 0; a < rank(); ++a) product *= shape()[a];
    return product;
  }
  bool has_shape_of(const Array& other) const {
    return rank() == other.rank() && std::equal(shape(), shape() + rank(), other.shape());
  }
  bool is_c_contiguous() const { return PyBuffer_IsContiguous(&buffer_, 'C') != 0; }
  Strided strided() const {
    Strided result{data(), element_, {}};
    for (int a = 0; a < rank(); ++a) result.strides[a] = strides()[a];
    return result;
  }

 private:
  bool parse(const char* format) {
    if (!format) return false;
    if (*format == '@' || *format == '=' || *format == '<') ++format;  // every target here is little-endian
    if (format[0] == '\0' || format[1] != '\0') return false;
    switch (format[0]) {
      case 'e':
        element_ = Element::float16;
        return true;
      case 'H':
        element_ = Element::bfloat16;
        return true;
      case 'f':
        element_ = Element::float32;
        return true;
      case 'd':
        element_ = Element::float64;
        return true;
      case '?':
        element_ = Element::boolean;
        return true;
      case 'l':
      case 'q':
        element_ = Element::int64;
        return true;
      default:
        return false;
    }
  }

  Py_buffer buffer_;
  Element element_ = Element::float32;
};

// Around a kernel. Releases the GIL if there is enough work that another Python thread could gain from it; afterwards
// throws std::bad_alloc if a thread found no memory to work in, since kernels themselves cannot throw.
class Unlocked {
 public:
  explicit Unlocked(int64_t elements)
      : failures_(scratch_failures()), state_(elements >= 8192 ? PyEval_SaveThread() : nullptr) {}
  ~Unlocked() noexcept(false) {
    if (state_) PyEval_RestoreThread(state_);
    if (scratch_failures() != failures_ && std::uncaught_exceptions() == 0) throw std::bad_alloc();
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  int64_t failures_;
  PyThreadState* state_;
};

}  // namespace softclass
