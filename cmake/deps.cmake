# Every external dependency of Perigee, with the least version it is built against (Debian 12).
# ARCHITECTURE.md argues each of them. llama.cpp is in llama.cmake.
find_package(Threads REQUIRED)
find_package(Boost 1.81 CONFIG REQUIRED COMPONENTS json)  # Asio, System (headers), JSON
find_package(OpenSSL 3.0 REQUIRED)
find_package(SQLite3 3.40 REQUIRED)
find_package(simdjson REQUIRED)  # its package accepts only the minor version asked for
if(simdjson_VERSION VERSION_LESS 3.0)
  message(FATAL_ERROR "simdjson ${simdjson_VERSION} is installed; Perigee needs 3.0 or later.")
endif()
find_package(fmt 9 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(tomlplusplus 3.3 REQUIRED)
if(PERIGEE_TESTS)
  find_package(GTest 1.12 REQUIRED)
endif()
if(PERIGEE_BENCHMARKS)
  find_package(benchmark 1.7 REQUIRED)
endif()

# xxHash ships no CMake package in Debian 12; it is used header-only.
find_path(XXHASH_INCLUDE_DIR xxhash.h REQUIRED)
add_library(perigee_xxhash INTERFACE)
target_include_directories(perigee_xxhash SYSTEM INTERFACE ${XXHASH_INCLUDE_DIR})
target_compile_definitions(perigee_xxhash INTERFACE XXH_INLINE_ALL)

# Asio, header-only: one io_context per thread, no deprecated names. Its own cache of coroutine
# frames has two places, and a miss costs an aligned allocation: the C library's is faster.
add_library(perigee_asio INTERFACE)
target_link_libraries(perigee_asio INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(perigee_asio INTERFACE
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_NO_TS_EXECUTORS
  BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING)
