// Arrays that must be contiguous and of one element type, as pointers; indices of 32 bits. See arrays.hpp.
#pragma once

#include <cstdint>
#include <type_traits>

#include "arrays.hpp"

namespace softclass {

// A contiguous vector of int32, held as long as this object lives.
class Indices {
 public:
  explicit Indices(nb::handle object) {
    if (PyObject_GetBuffer(object.ptr(), &buffer_, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0) throw nb::python_error();
    if (buffer_.itemsize != 4 || !buffer_.format || buffer_.format[0] != 'i') {
      PyBuffer_Release(&buffer_);
      throw nb::type_error("indices must be int32");
    }
  }
  ~Indices() { PyBuffer_Release(&buffer_); }
  Indices(const Indices&) = delete;
  Indices& operator=(const Indices&) = delete;
  const int32_t* data() const { return static_cast<const int32_t*>(buffer_.buf); }
  int64_t size() const { return buffer_.len / 4; }

 private:
  Py_buffer buffer_;
};

template <class T>
constexpr Element element_of() {
  if constexpr (std::is_same_v<T, float>) return Element::float32;
  if constexpr (std::is_same_v<T, double>) return Element::float64;
  return Element::int64;
}

// The numbers of a contiguous array; a negative size allows any.
inline char* contiguous(const Array& array, Element element, int64_t size, const char* rule) {
  require(array.is_c_contiguous() && (size < 0 || array.size() == size), rule);
  if (array.element() != element) throw nb::type_error(rule);
  return array.data();
}
template <class T>
T* contiguous(const Array& array, int64_t size, const char* rule) {
  return reinterpret_cast<T*>(contiguous(array, element_of<T>(), size, rule));
}

}  // namespace softclass
