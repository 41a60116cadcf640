# Makes the numbers of tests/golden/glmnet_iris.json; needs R and glmnet (Debian: r-base-core r-cran-glmnet), the tests do
# not. Rscript scripts/make_glmnet_fixtures.R prints, for each penalty, a class a line: intercept, then the coefficients.
suppressMessages(library(glmnet))
x <- as.matrix(iris[, 1:4])
y <- iris$Species
for (alpha in c(0, 0.5, 1)) {
  fit <- glmnet(x, y, family = "multinomial", alpha = alpha, lambda = c(0.1, 0.02), standardize = FALSE,
                thresh = 1e-16, maxit = 1e7)
  for (lambda in c(0.1, 0.02)) {
    found <- sapply(coef(fit, s = lambda), as.vector)
    found[1, ] <- found[1, ] - mean(found[1, ])
    cat(sprintf("alpha %g lambda %g\n", alpha, lambda))
    for (class in colnames(found)) cat(class, sprintf("%.9f", found[, class]), "\n")
  }
}
