# Writes tests/golden/glmnet_iris.json and tests/golden/nnet_iris.json, one case a line. Needs R with glmnet and nnet
# (Debian: r-base-core r-cran-glmnet r-cran-nnet); the tests need neither. From the root: Rscript scripts/make_glmnet_fixtures.R
suppressMessages({ library(glmnet); library(nnet) })
x <- unname(as.matrix(iris[, 1:4]))
y <- iris$Species
weights <- rep(c(1, 2, 0.5), 50)  # row i (from 0) has weights[i mod 3]

numbers <- function(v) paste0("[", paste(sprintf("%.12g", v), collapse = ", "), "]")
rows <- function(m) paste0("[", paste(apply(m, 1, numbers), collapse = ", "), "]")

written <- function(file, about, cases) {
  head <- sprintf('{"about": "%s; made by scripts/make_glmnet_fixtures.R with R %s.", "cases": [', about, getRversion())
  writeLines(c(head, paste(cases, collapse = ",\n"), "]}"), file.path("tests", "golden", file))
}

# C = 1 / (sum of weights * lambda), l1_ratio = alpha. The classes share a shift of the intercepts: here they sum to zero.
solved <- function(family, alpha, lambda, case_weights, kept) {
  labels <- factor(y[kept])
  fit <- glmnet(x[kept, ], labels, family = family, alpha = alpha, lambda = c(0.1, 0.02), standardize = FALSE,
                weights = case_weights[kept], thresh = 1e-16, maxit = 1e7)
  found <- coef(fit, s = lambda)
  found <- if (is.list(found)) sapply(found, as.vector) else as.matrix(found)
  if (ncol(found) > 1) found[1, ] <- found[1, ] - mean(found[1, ])
  is_weighted <- any(case_weights != 1)
  name <- sprintf("alpha %g, lambda %g%s%s", alpha, lambda, if (family == "binomial") ", two classes" else "",
                  if (is_weighted) ", weighted" else "")
  sprintf('{"name": "%s", "alpha": %g, "lambda": %g, "rows": %d, "weights": %s, "intercept": %s, "coef": %s}', name,
          alpha, lambda, sum(kept), if (is_weighted) "[1, 2, 0.5]" else "[1, 1, 1]", numbers(found[1, ]),
          rows(t(found[-1, , drop = FALSE])))
}

all_rows <- rep(TRUE, 150)
one <- rep(1, 150)
cases <- c()
for (alpha in c(0, 0.5, 1)) for (lambda in c(0.1, 0.02)) {
  cases <- c(cases, solved("multinomial", alpha, lambda, one, all_rows))
}
for (alpha in c(0.5, 1)) {
  cases <- c(cases, solved("multinomial", alpha, 0.02, weights, all_rows))
  cases <- c(cases, solved("binomial", alpha, 0.02, one, y != "virginica"))
}
written("glmnet_iris.json", sprintf("glmnet %s on iris, units as shipped", packageVersion("glmnet")), cases)

# Versicolor and virginica overlap in the sepals, and so do all three: without penalty there is a finite optimum.
nnet_case <- function(name, columns, case_weights) {
  fit <- multinom(y ~ x[, columns], weights = case_weights, Hess = TRUE, reltol = 1e-15, maxit = 10000, trace = FALSE)
  sprintf('{"name": "%s", "columns": %s, "weights": %s, "coefficients": %s, "standard_errors": %s, "deviance": %.12g}',
          name, numbers(columns - 1), if (any(case_weights != 1)) "[1, 2, 0.5]" else "[1, 1, 1]",
          rows(unname(summary(fit)$coefficients)), rows(unname(summary(fit)$standard.errors)), fit$deviance)
}
cases <- c(nnet_case("sepal width", 2, one), nnet_case("sepal width, weighted", 2, weights))
written("nnet_iris.json", sprintf("nnet::multinom %s on iris: classes against setosa, intercept first",
                                  packageVersion("nnet")), cases)
