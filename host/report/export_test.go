package report

// FullReport and RefusedReport are for tests outside the package.
var FullReport, RefusedReport = fullReport, refusedReport
